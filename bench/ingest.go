package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/logsvc"
)

// record records batches over gRPC.
func (l *logService) record(ctx context.Context, batches [][]logsvc.Entry) error {
	return sendAll(ctx, senders, batches, l.send)
}

func (l *logService) send(ctx context.Context, rows []logsvc.Entry) error {
	request := &logsv1.RecordRequestLogsRequest{Records: make([]*logsv1.RequestLogRecord, len(rows))}
	for i := range rows {
		request.Records[i] = &logsv1.RequestLogRecord{RequestLog: message(&rows[i])}
	}
	answer, err := l.client.RecordRequestLogs(ctx, request)
	if err != nil {
		return fmt.Errorf("record %d rows: %w", len(rows), err)
	}
	if refused := answer.GetRefused(); len(refused) > 0 {
		return fmt.Errorf("%d rows refused, the first: %v", len(refused), refused[0])
	}
	return nil
}

func message(e *logsvc.Entry) *logsv1.RequestLog {
	return &logsv1.RequestLog{
		Id: e.ID.String(), Time: timestamppb.New(e.Time()), WorkspaceId: e.WorkspaceID, KeyId: wire.ID(e.KeyID),
		KeyName: e.KeyName, KeyLast4: e.KeyLast4, ExternalId: e.ExternalID, AgentType: e.AgentType, AgentId: e.AgentID,
		Method: e.Method, Endpoint: e.Endpoint, Status: int32(e.Status), ErrorCode: e.ErrorCode,
		LatencyMs: new(wire.Latency(e.Latency)), CallCount: int32(e.CallCount),
	}
}

// traffic is the calls that go on while something else is measured: small batches of rows, and lists.
type traffic struct {
	*logService
	g *generator
	// sent is the number of rows of g that were sent.
	sent atomic.Int64
}

// newTraffic returns traffic of the hour after the service's clock.
func newTraffic(l *logService, randomIDs bool) *traffic {
	return &traffic{logService: l, g: newGenerator(10_000_000, l.clock.now(), time.Hour, randomIDs)}
}

// during returns the latencies of the batches that are recorded while do runs. A failed list is an error.
func (t *traffic) during(ctx context.Context, do func(context.Context) error) (took []time.Duration, err error) {
	const streams = 2
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	for range streams {
		group.Go(func() error {
			return repeatUntil(stop, func() error {
				began := time.Now()
				err := t.sendNext(ctx)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(began))
				return err
			})
		})
	}
	group.Go(func() error {
		return repeatUntil(stop, func() error {
			if _, err := t.page(ctx, &request{StatusClass: "4xx"}); err != nil {
				return err
			}
			return pause(ctx, 50*time.Millisecond)
		})
	})
	group.Go(func() error {
		defer close(stop)
		return do(ctx)
	})
	err = group.Wait()
	return took, err
}

// sendNext records the next 500 rows.
func (t *traffic) sendNext(ctx context.Context) error {
	const rows = 500
	to := int(t.sent.Add(rows))
	return t.send(ctx, t.g.batch(to-rows, to))
}

// repeatUntil repeats do until stop is closed.
func repeatUntil(stop <-chan struct{}, do func() error) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := do(); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
