package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// batchRows is the maximum of RecordRequestLogs.
	batchRows = 5000
	// senders is the number of concurrent calls.
	senders = 3
)

// ingest records all rows over gRPC and returns the rows per second.
func (l *logService) ingest(ctx context.Context, g *generator) (rowsPerSecond float64, err error) {
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(senders)
	for from := 0; from < g.rows && ctx.Err() == nil; from += batchRows {
		group.Go(func() error { return l.send(ctx, g.batch(from, min(from+batchRows, g.rows))) })
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return float64(g.rows) / time.Since(began).Seconds(), nil
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

// stream records small batches with current times until stop is closed, and returns the latencies.
func (l *logService) stream(ctx context.Context, g *generator, stop <-chan struct{}) ([]time.Duration, error) {
	const rows, streams = 500, 2
	var mu sync.Mutex
	var took []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	for s := range streams {
		group.Go(func() error {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				default:
				}
				batch := g.batch(s*1_000_000_000+n*rows, s*1_000_000_000+(n+1)*rows)
				for i := range batch {
					batch[i].ID = renew(batch[i].ID)
				}
				began := time.Now()
				if err := l.send(ctx, batch); err != nil {
					return err
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	err := group.Wait()
	return took, err
}
