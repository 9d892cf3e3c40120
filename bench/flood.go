package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// floodBench measures the lists of one workspace while searches of another one flood the log service. Its rows are not sealed
// yet, which is the slowest case: each of its searches uses up the search budget.
type floodBench struct {
	database `embed:""`
	Rows     int           `default:"400000" help:"Number of rows of the workspace that floods."`
	Searches int           `default:"300" help:"Number of its parallel searches."`
	Time     time.Duration `default:"20s" help:"How long each measurement takes."`
}

// retryAfter is what the service asks for with RESOURCE_EXHAUSTED.
const retryAfter = time.Second

// Run measures the other workspace alone, during the flood, and alone again.
func (b *floodBench) Run(ctx context.Context) (err error) {
	makeDatabase, stop, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	url, err := makeDatabase("flood")
	if err != nil {
		return err
	}
	l, err := startLogs(ctx, url, newClock(time.Now()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	for workspaceID, rows := range map[string]int{"flood": b.Rows, "other": 10_000} {
		if err := l.fillNow(ctx, workspaceID, rows); err != nil {
			return err
		}
	}
	if err := l.vacuum(ctx); err != nil {
		return err
	}
	return b.measure(ctx, l, report{})
}

func (b *floodBench) measure(ctx context.Context, l *logService, r report) error {
	before, err := b.lists(ctx, l)
	if err != nil {
		return err
	}
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	f, ended := &searchFlood{logService: l}, make(chan error, 1)
	go func() { ended <- f.run(flooding, b.Searches) }()
	during, err := b.lists(ctx, l)
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	after, err := b.lists(ctx, l)
	if err != nil {
		return err
	}
	alone := append(before, after...)
	r.addTimes("alone", "lists of the other workspace, alone", alone, "")
	r.addTimes("during", "lists of the other workspace, during the flood", during, "")
	ratio := float64(quantile(during, 0.99)) / float64(quantile(alone, 0.99))
	r.add("p99_ratio", "p99 during the flood ÷ alone", "%.2f", ratio, "≤ 2")
	r.add("searches", "searches of the flood", "%.0f", float64(f.found.Load()), "")
	r.add("refused", "searches of the flood that were refused", "%.0f", float64(f.refused.Load()), "")
	return r.print()
}

// lists measures the newest page of the other workspace, one at a time.
func (b *floodBench) lists(ctx context.Context, l *logService) (took []time.Duration, err error) {
	for end := time.Now().Add(b.Time); time.Now().Before(end); {
		began := time.Now()
		if _, err := l.client.ListRequestLogs(ctx, &request{WorkspaceId: "other", PageSize: 50}); err != nil {
			return nil, fmt.Errorf("list the other workspace: %w", err)
		}
		took = append(took, time.Since(began))
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// searchFlood is the searches of a workspace until ctx is done.
type searchFlood struct {
	*logService
	found, refused atomic.Int64
}

// run searches until ctx is done.
func (f *searchFlood) run(ctx context.Context, searches int) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for range searches {
		group.Go(func() error { return f.searchAgainAndAgain(groupCtx) })
	}
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// searchAgainAndAgain searches for what no row has. A refused search is sent again after retryAfter.
func (f *searchFlood) searchAgainAndAgain(ctx context.Context) error {
	for {
		_, err := f.client.ListRequestLogs(ctx, &request{WorkspaceId: "flood", Endpoint: "absent"})
		switch {
		case err == nil:
			f.found.Add(1)
		case status.Code(err) != codes.ResourceExhausted:
			return fmt.Errorf("search: %w", err)
		default:
			f.refused.Add(1)
			if err := pause(ctx, retryAfter); err != nil {
				return err
			}
		}
	}
}

// fillNow records rows of the minutes before now.
func (l *logService) fillNow(ctx context.Context, workspaceID string, rows int) error {
	newest := l.clock.now()
	for from := 0; from < rows; from += batchRows {
		var batch []logsvc.Entry
		for i := from; i < min(rows, from+batchRows); i++ {
			batch = append(batch, logsvc.Entry{
				ID: uuid7.New(newest.Add(-time.Duration(i) * time.Millisecond)), WorkspaceID: workspaceID, AgentType: "agent", Method: "POST",
				Endpoint: fmt.Sprintf("/v1/agents/a%d/run", i%100), Status: 200, Latency: time.Millisecond, Reported: true, CallCount: 1,
			})
		}
		if err := l.send(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}
