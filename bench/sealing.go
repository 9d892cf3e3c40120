package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// sealedRows is a day of 9 M rows in 30 days.
	sealedRows = 300_000
	// watchTime is how long ingest is measured without sealing.
	watchTime = 8 * time.Second
	// expiredDays is the number of days that are dropped.
	expiredDays = 3
	// parallelWalks is the number of walks at the same time whose memory is measured.
	parallelWalks = 64
)

// sealing seals a day with nothing else running, and another one during ingest and lists.
func (r *logsRun) sealing(ctx context.Context, l *logService) error {
	p := newPassage(l.clock, l.store, l.record)
	l.clock.set(r.g.end().Add(logsvc.DefaultGrace))
	if err := p.seal(ctx); err != nil { // the rest of the last day
		return err
	}
	if err := r.extraDay(ctx, l, p, r.g.end()); err != nil {
		return err
	}
	p.sealing, p.sealingCPU = 0, 0
	if err := p.seal(ctx); err != nil {
		return err
	}
	name := fmt.Sprintf("sealing a day of %d rows, alone, by wall clock", sealedRows)
	r.add("seal_rows_per_s", name, "%.0f rows/s", sealedRows/p.sealing.Seconds(), "≥ 140000")
	r.add("seal_cpu_us_per_row", "CPU time of the log service meanwhile", "%.2f µs/row", float64(p.sealingCPU.Microseconds())/sealedRows, "")
	if err := r.extraDay(ctx, l, p, r.g.end().Add(dayLength)); err != nil {
		return err
	}
	t := newTraffic(l, r.g.randomIDs)
	before, err := t.during(ctx, func(ctx context.Context) error { return pause(ctx, watchTime) })
	if err != nil {
		return err
	}
	during, err := t.during(ctx, p.seal)
	if err != nil {
		return err
	}
	r.addTimes("ingest_batch", fmt.Sprintf("ingest of 500 rows, %d times", len(before)), before, "")
	r.addTimes("ingest_batch_sealing", fmt.Sprintf("the same while a day is sealed, %d times", len(during)), during, "")
	ratio := float64(quantile(during, 0.99)) / float64(quantile(before, 0.99))
	r.add("seal_ingest_p99_ratio", "ingest p99 while sealing ÷ before", "%.2f", ratio, "≤ 1.5")
	return nil
}

// extraDay records a day of rows, and sets the clock to when they are all to be sealed.
func (r *logsRun) extraDay(ctx context.Context, l *logService, p *passage, start time.Time) error {
	day := newGenerator(sealedRows, start, dayLength, r.g.randomIDs)
	if err := p.arrive(ctx, day, 0, day.rows); err != nil {
		return err
	}
	if err := l.vacuum(ctx); err != nil {
		return err
	}
	l.clock.set(day.end().Add(logsvc.DefaultGrace))
	return nil
}

// retention drops days during ingest and lists.
func (r *logsRun) retention(ctx context.Context, l *logService) error {
	l.clock.set(l.clock.now().Add(time.Hour)) // rows of the hour before would be recorded again
	longest := time.Duration(0)
	_, err := newTraffic(l, r.g.randomIDs).during(ctx, func(ctx context.Context) error {
		for day := range expiredDays {
			end := r.g.start.Add(time.Duration(day+1) * dayLength)
			began := time.Now()
			if _, err := l.store.Expire(ctx, uuid7.First(end), 1); err != nil {
				return err
			}
			longest = max(longest, time.Since(began))
			page, err := l.searcher.List(ctx, logsvc.Query{WorkspaceID: "ws-0000", Range: logsvc.TimeRange(time.Time{}, end), Limit: 1})
			if err != nil {
				return err
			}
			if len(page.Entries) > 0 {
				return fmt.Errorf("a row of %v was not deleted", page.Entries[0].Time())
			}
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
		}
		return nil
	})
	r.add("expire_day_s", "retention of a day, the longest of 3", "%.3f s", longest.Seconds(), "≤ 0.3 s")
	return err
}

// heap adds the most bytes of the heap in use while many walks run. The clients are in the same process and count too.
func (r *logsRun) heap(ctx context.Context, l *logService) error {
	debug.FreeOSMemory()
	before := heapInUse()
	peak := before
	stop := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return repeatUntil(stop, func() error {
			peak = max(peak, heapInUse())
			return pause(ctx, time.Millisecond)
		})
	})
	walks, walkCtx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range parallelWalks {
		walks.Go(func() error {
			_, err := l.walk(walkCtx, &request{Endpoint: randomHex(rand.New(rand.NewPCG(5, uint64(i))), 12)}, 100_000)
			return err
		})
	}
	err := walks.Wait()
	took := time.Since(began)
	close(stop)
	if groupErr := group.Wait(); err == nil {
		err = groupErr
	}
	r.add("walks_s", "64 walks of 12 hex digits at once", "%.1f s", took.Seconds(), "")
	r.add("heap_mb", fmt.Sprintf("heap in use meanwhile, peak (%.0f MB before)", before), "%.0f MB", peak, "≤ 300 MB")
	return err
}

// heapInUse returns HeapInuse of runtime.MemStats in MB, without stopping the process.
func heapInUse() float64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(samples)
	return float64(samples[0].Value.Uint64()+samples[1].Value.Uint64()) / 1e6
}
