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
	// calm is how long ingest is watched without a purge, and then with one.
	calm = 8 * time.Second
	// purgedDays is how many days are dropped while ingest is watched, one every calm/(purgedDays+1).
	purgedDays = 3
)

// purge drops whole days while rows come in and are read, and answers the longest of the drops and by how much the
// p99 of a batch grew meanwhile. A read that fails is an error.
func (l *logService) purge(ctx context.Context, g *generator) (longest time.Duration, ratio float64, err error) {
	before, err := l.watch(ctx, g, func(context.Context) error { return nil })
	if err != nil {
		return 0, 0, err
	}
	oldest := g.start.UTC().Truncate(24 * time.Hour)
	during, err := l.watch(ctx, g, func(ctx context.Context) error {
		for day := range purgedDays {
			// The first is a part of a day; the drop of it goes with the drop of the one after.
			end := oldest.Add(time.Duration(day+2) * 24 * time.Hour)
			began := time.Now()
			if err := l.store.Expire(ctx, uuid7.First(end)); err != nil {
				return err
			}
			longest = max(longest, time.Since(began))
			if err := l.nothingBefore(ctx, end); err != nil {
				return err
			}
			if err := pause(ctx, calm/(purgedDays+1)); err != nil {
				return err
			}
		}
		return nil
	})
	return longest, float64(quantile(during, 0.99)) / float64(quantile(before, 0.99)), err
}

// nothingBefore fails where the store still has a row of before a time.
func (l *logService) nothingBefore(ctx context.Context, end time.Time) error {
	page, err := l.store.List(ctx, logsvc.Query{WorkspaceID: "ws-0000", Range: logsvc.Range{To: uuid7.First(end)}, Limit: 1})
	if err == nil && len(page.Entries) > 0 {
		return fmt.Errorf("a row of %v is still there", page.Entries[0].Time())
	}
	return err
}

// watch times the batches that come in while do runs, for as long as calm.
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
		return pause(ctx, calm-time.Since(began))
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
