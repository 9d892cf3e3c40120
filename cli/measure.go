package cli

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/telemetry"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/trail"
)

// measuredStore is a store whose writes are counted and traced.
type measuredStore struct {
	logsvc.Store
	telemetry      *telemetry.Process
	rows, seconds  prometheus.Histogram
	failed, purged atomic.Int64
	// expired is when old rows were last erased, in Unix seconds; 0 = not since the start.
	expired atomic.Int64
}

func measureStore(store logsvc.Store, to *telemetry.Process) (*measuredStore, error) {
	m := &measuredStore{
		Store: store, telemetry: to,
		rows:    telemetry.Sizes("logs_batch_rows", "Rows of a batch that was stored; the sum is all rows, repeated ones included."),
		seconds: telemetry.Seconds("logs_batch_seconds", "How long a batch took in the store, whether it was stored or not."),
	}
	return m, to.Register(m.rows, m.seconds,
		telemetry.Counter("logs_failed_batches_total", "Batches that the store did not take.", nil, reading(&m.failed)),
		telemetry.Counter("logs_purged_rows_total", "Rows that were erased on demand.", nil, reading(&m.purged)),
		telemetry.Gauge("logs_expire_success_timestamp_seconds", "When rows older than the retention were last erased; 0 = not since the start.",
			nil, reading(&m.expired)))
}

// reading reads a number for a metric.
func reading(n *atomic.Int64) func() float64 {
	return func() float64 { return float64(n.Load()) }
}

// Record implements logsvc.Store.
func (m *measuredStore) Record(ctx context.Context, entries []logsvc.Entry) error {
	ctx, end := m.telemetry.Span(ctx, "store a batch", len(entries))
	began := time.Now()
	err := m.Store.Record(ctx, entries)
	end(err)
	m.seconds.Observe(time.Since(began).Seconds())
	if err != nil {
		m.failed.Add(1)
		return err
	}
	m.rows.Observe(float64(len(entries)))
	return nil
}

// Purge implements logsvc.Store.
func (m *measuredStore) Purge(ctx context.Context, workspaceID string, upTo uuid.UUID) (int64, error) {
	erased, err := m.Store.Purge(ctx, workspaceID, upTo)
	m.purged.Add(erased)
	return erased, err
}

// Expire implements logsvc.Store.
func (m *measuredStore) Expire(ctx context.Context, before uuid.UUID) error {
	err := m.Store.Expire(ctx, before)
	if err == nil {
		m.expired.Store(time.Now().Unix())
	}
	return err
}

// tracedTrail is a trail whose appends are spans.
type tracedTrail struct {
	*trail.Trail
	telemetry *telemetry.Process
}

// Append implements authsvc.Trail.
func (t tracedTrail) Append(ctx context.Context, rows ...authsvc.Entry) error {
	ctx, end := t.telemetry.Span(ctx, "append to the trail", len(rows))
	err := t.Trail.Append(ctx, rows...)
	end(err)
	return err
}

// traced is the trail as checks use it: only where somebody collects traces does a span cost anything.
func traced(t *trail.Trail, to *telemetry.Process) authsvc.Trail {
	if !to.Traced() {
		return t
	}
	return tracedTrail{t, to}
}
