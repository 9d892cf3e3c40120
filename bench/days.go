package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

const (
	// partRows is about how many rows arrive between two passes of the sealer.
	partRows = 45_000
	// batchRows is the maximum of RecordRequestLogs.
	batchRows = 5000
	// senders is the number of concurrent calls.
	senders = 3
)

// clock is a clock that stands still until it is set.
type clock struct{ milliseconds atomic.Int64 }

func newClock(t time.Time) *clock {
	c := &clock{}
	c.set(t)
	return c
}

func (c *clock) set(t time.Time) { c.milliseconds.Store(t.UnixMilli()) }

func (c *clock) now() time.Time { return time.UnixMilli(c.milliseconds.Load()).UTC() }

// passage takes rows through a store as the days would: they arrive in parts, each followed by a pass of the sealer, and one more
// pass follows the end of each day. It stops at the last moment of the last day, when the most rows are unsealed.
type passage struct {
	clock  *clock
	store  logsvc.Store
	sealer *logsvc.Sealer
	// record stores the batches of a part.
	record func(context.Context, [][]logsvc.Entry) error
	// beforePart and afterPass do what is not counted; nil = nothing.
	beforePart func(context.Context, [][]logsvc.Entry) error
	afterPass  func(context.Context) error

	rows                           int
	recording, sealing, sealingCPU time.Duration
}

func newPassage(c *clock, store logsvc.Store, record func(context.Context, [][]logsvc.Entry) error) *passage {
	config := logsvc.SealConfig{SealRows: logsvc.DefaultSealRows, BlockRows: logsvc.DefaultBlockRows, Grace: logsvc.DefaultGrace, Now: c.now}
	return &passage{clock: c, store: store, sealer: logsvc.NewSealer(store, config), record: record}
}

func (p *passage) run(ctx context.Context, g *generator) error {
	for day := range g.days() {
		ofDay := g.rows / g.days()
		if day > 0 {
			p.clock.set(g.at(day * ofDay).Add(logsvc.DefaultGrace))
			if err := p.seal(ctx); err != nil {
				return err
			}
		}
		for part := range divide(day*ofDay, (day+1)*ofDay, partRows, 1) {
			if err := p.arrive(ctx, g, part[0], part[1]); err != nil {
				return err
			}
			if err := p.seal(ctx); err != nil {
				return err
			}
		}
	}
	return p.fillTail(ctx, g)
}

// fillTail records rows of the last minutes, until the largest workspace has as many rows that are not sealed yet as there can be. Else it
// would depend on the number of rows how many those are.
func (p *passage) fillTail(ctx context.Context, g *generator) error {
	missing := logsvc.DefaultSealRows
	_, err := p.store.Tally(ctx, "ws-0000", logsvc.TimeRange(g.start, g.end()), func(group block.Group) {
		missing -= int(group.Calls)
	})
	if err != nil {
		return err
	}
	if missing <= 0 {
		return nil
	}
	// Random ids, which differ from those that are there.
	tail := newGenerator(2*missing, g.end().Add(-logsvc.DefaultGrace), logsvc.DefaultGrace, true)
	if err := p.arrive(ctx, tail, 0, tail.rows); err != nil || p.afterPass == nil {
		return err
	}
	return p.afterPass(ctx)
}

// arrive records the rows from..to at the time of the last one. They are generated before the measurement.
func (p *passage) arrive(ctx context.Context, g *generator, from, to int) error {
	var batches [][]logsvc.Entry
	for b := range divide(from, to, batchRows, senders) {
		batches = append(batches, g.batch(b[0], b[1]))
	}
	p.clock.set(g.at(to).Add(-time.Millisecond))
	if p.beforePart != nil {
		if err := p.beforePart(ctx, batches); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := p.record(ctx, batches); err != nil {
		return err
	}
	p.recording += time.Since(began)
	p.rows += to - from
	return nil
}

func (p *passage) seal(ctx context.Context) error {
	began, cpu := time.Now(), cpuTime()
	if err := p.sealer.Seal(ctx); err != nil {
		return err
	}
	p.sealing += time.Since(began)
	p.sealingCPU += cpuTime() - cpu
	if p.afterPass == nil {
		return nil
	}
	return p.afterPass(ctx)
}

// divide divides from..to evenly into ranges of at most size; their number is a multiple of a number.
func divide(from, to, size, multiple int) func(yield func([2]int) bool) {
	n := (to - from + size*multiple - 1) / (size * multiple) * multiple
	return func(yield func([2]int) bool) {
		for i := range n {
			if !yield([2]int{from + (to-from)*i/n, from + (to-from)*(i+1)/n}) {
				return
			}
		}
	}
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(fmt.Errorf("getrusage: %w", err)) // only for wrong arguments
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

type sendFunc func(context.Context, []logsvc.Entry) error

// sendAll calls send for each batch, on a number of goroutines.
func sendAll(ctx context.Context, limit int, batches [][]logsvc.Entry, send sendFunc) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for batch := range slices.Values(batches) {
		group.Go(func() error { return send(ctx, batch) })
	}
	return group.Wait()
}
