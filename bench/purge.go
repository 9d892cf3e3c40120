package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// watchTime is how long ingest is measured without a purge, and then with one.
	watchTime = 8 * time.Second
	// purgedDays is the number of days that are dropped, one every watchTime/(purgedDays+1).
	purgedDays = 3
)

// purge drops days during ingest and reads. It returns the longest drop and the ratio of the p99 of a batch during and
// before the drops. A failed read is an error.
func (l *logService) purge(ctx context.Context, g *generator) (longest time.Duration, ratio float64, err error) {
	before, err := l.watch(ctx, g, func(context.Context) error { return nil })
	if err != nil {
		return 0, 0, err
	}
	oldest := g.start.UTC().Truncate(24 * time.Hour)
	during, err := l.watch(ctx, g, func(ctx context.Context) error {
		for day := range purgedDays {
			// The first day is incomplete and is dropped together with the second.
			end := oldest.Add(time.Duration(day+2) * 24 * time.Hour)
			began := time.Now()
			if err := l.store.Expire(ctx, uuid7.First(end)); err != nil {
				return err
			}
			longest = max(longest, time.Since(began))
			if err := l.expectNoRowsBefore(ctx, end); err != nil {
				return err
			}
			if err := pause(ctx, watchTime/(purgedDays+1)); err != nil {
				return err
			}
		}
		return nil
	})
	return longest, float64(quantile(during, 0.99)) / float64(quantile(before, 0.99)), err
}

// expectNoRowsBefore returns an error if the store has a row before a time.
func (l *logService) expectNoRowsBefore(ctx context.Context, end time.Time) error {
	page, err := l.store.List(ctx, logsvc.Query{WorkspaceID: "ws-0000", Range: logsvc.Range{To: uuid7.First(end)}, Limit: 1})
	if err == nil && len(page.Entries) > 0 {
		return fmt.Errorf("a row of %v was not deleted", page.Entries[0].Time())
	}
	return err
}

// watch measures the batches of ingest for watchTime while do runs.
func (l *logService) watch(ctx context.Context, g *generator, do func(context.Context) error) (took []time.Duration, err error) {
	stop := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		took, err = l.stream(ctx, g, stop)
		return err
	})
	group.Go(func() error {
		for {
			select {
			case <-stop:
				return nil
			default:
			}
			if _, err := l.page(ctx, &request{StatusClass: "4xx"}); err != nil {
				return err
			}
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
	})
	group.Go(func() error {
		defer close(stop)
		began := time.Now()
		if err := do(ctx); err != nil {
			return err
		}
		return pause(ctx, watchTime-time.Since(began))
	})
	err = group.Wait()
	return took, err
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
