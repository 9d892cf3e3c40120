package app

import (
	"cmp"
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

// processMetrics returns the metrics of every process.
func (s *Server) processMetrics() []prometheus.Collector {
	all := []prometheus.Collector{telemetry.Gauge("ready", "Whether the process was ready at the latest check, as in /readyz.", nil, func() float64 {
		if s.ready.Load() {
			return 1
		}
		return 0
	})}
	if c := s.tls.certificate; c != nil {
		all = append(all, telemetry.Gauge("tls_certificate_expiry_timestamp_seconds", "When the server certificate expires.",
			nil, func() float64 { return float64(c.NotAfter().Unix()) }))
	}
	return all
}

func keyringMetrics(keyring *authsvc.Keyring) []prometheus.Collector {
	gauge := func(name, help string, read func(authsvc.KeyringStats) float64) prometheus.Collector {
		return telemetry.Gauge("keyring_"+name, help, nil, func() float64 { return read(keyring.Stats()) })
	}
	return []prometheus.Collector{
		gauge("keys", "Keys in memory.", func(s authsvc.KeyringStats) float64 { return float64(s.Keys) }),
		gauge("secrets", "Secrets of keys in memory.", func(s authsvc.KeyringStats) float64 { return float64(s.Secrets) }),
		gauge("revision", "The newest change of keys that is in force.", func(s authsvc.KeyringStats) float64 { return float64(s.Revision) }),
		gauge("staleness_seconds", "How long ago the keyring last knew every key.", func(s authsvc.KeyringStats) float64 { return s.Staleness.Seconds() }),
	}
}

func checkMetrics(checker *authsvc.Checker) []prometheus.Collector {
	return append(
		counters("checks_total", "Checks by result: allowed, or the error code of the denial.", "result", checker.Results,
			func(code authsvc.ErrorCode) string { return cmp.Or(string(code), "allowed") }),
		counters("report_tokens_refused_total", "Reports that were refused because of their report token.", "reason", checker.RefusedReports,
			func(reason authsvc.RefusalReason) string { return string(reason) })...)
}

// counters returns a counter for each key that read returns, with the key as label. The keys are a fixed set.
func counters[K comparable](name, help, label string, read func() map[K]int64, value func(K) string) (all []prometheus.Collector) {
	for key := range read() {
		all = append(all, telemetry.Counter(name, help, prometheus.Labels{label: value(key)}, func() float64 { return float64(read()[key]) }))
	}
	return all
}

// instrumentedStore counts and traces the writes of a store.
type instrumentedStore struct {
	logsvc.Store
	telemetry      *telemetry.Process
	rows, seconds  prometheus.Histogram
	failed, sealed atomic.Int64
	// expired is when old rows were last deleted, in Unix seconds; 0 = not since the start.
	expired atomic.Int64
}

func instrumentStore(store logsvc.Store, to *telemetry.Process) (*instrumentedStore, error) {
	s := &instrumentedStore{
		Store: store, telemetry: to,
		rows:    telemetry.Sizes("logs_batch_rows", "Rows of a stored batch; the sum is all rows, repeated ones included."),
		seconds: telemetry.Seconds("logs_batch_seconds", "How long storing a batch took, whether it succeeded or not."),
	}
	value := func(n *atomic.Int64) func() float64 { return func() float64 { return float64(n.Load()) } }
	return s, to.Register(s.rows, s.seconds,
		telemetry.Counter("logs_failed_batches_total", "Batches that could not be stored.", nil, value(&s.failed)),
		telemetry.Counter("logs_sealed_rows_total", "Rows that were stored in sealed blocks; those of a block that is rewritten count again.", nil, value(&s.sealed)),
		telemetry.Gauge("logs_expire_success_timestamp_seconds", "When rows older than the retention were last deleted; 0 = not since the start.",
			nil, value(&s.expired)))
}

// Record implements logsvc.Store.
func (s *instrumentedStore) Record(ctx context.Context, entries []logsvc.Entry) error {
	ctx, end := s.telemetry.Span(ctx, "store a batch", len(entries))
	start := time.Now()
	err := s.Store.Record(ctx, entries)
	end(err)
	s.seconds.Observe(time.Since(start).Seconds())
	if err != nil {
		s.failed.Add(1)
		return err
	}
	s.rows.Observe(float64(len(entries)))
	return nil
}

// Replace implements logsvc.Store.
func (s *instrumentedStore) Replace(ctx context.Context, workspaceID string, change logsvc.Change) error {
	err := s.Store.Replace(ctx, workspaceID, change)
	if err == nil {
		for _, b := range change.Insert {
			s.sealed.Add(int64(b.Rows))
		}
	}
	return err
}

// Expire implements logsvc.Store.
func (s *instrumentedStore) Expire(ctx context.Context, before uuid.UUID, maxDays int) (days int, err error) {
	days, err = s.Store.Expire(ctx, before, maxDays)
	if err == nil && days <= maxDays {
		s.expired.Store(time.Now().Unix())
	}
	return days, err
}

// tracedTrail traces the appends to a trail.
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

// traced returns the trail for the checks. It costs nothing while tracing is off.
func traced(t *trail.Trail, to *telemetry.Process) authsvc.Trail {
	if !to.Traced() {
		return t
	}
	return tracedTrail{t, to}
}
