package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keytrail/keytrail/logsvc"
)

// comparedRows is how many rows SQLite and Citus get, at most.
const comparedRows = 1_000_000

type logsBench struct {
	database `embed:""`
	Rows     int    `default:"1000000" help:"Number of request logs, spread over 30 days."`
	IDs      string `name:"ids" enum:"counter,random" default:"counter" help:"Layout of the ids: a counter and bits that stay the same for an hour, or random bits."`
	CitusURL string `help:"URL of a database on a Citus coordinator, to compare it with Postgres; its schema keytrail_logs is dropped."`
}

// logsRun is one measurement of the log service.
type logsRun struct {
	report
	g            *generator
	makeDatabase func(name string) (url string, err error)
}

// Run measures ingest, disk use, lists, sealing and retention.
func (b *logsBench) Run(ctx context.Context) (err error) {
	makeDatabase, stop, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	r := &logsRun{report: report{}, g: b.generator(b.Rows), makeDatabase: makeDatabase}
	fmt.Printf("%d rows, %s ids; latencies are p50 / p99; the goals are for 10 M rows\n\n", r.g.rows, b.IDs)
	r.report["rows"] = float64(r.g.rows)
	if err := r.postgres(ctx); err != nil {
		return err
	}
	compared := b.generator(min(b.Rows, comparedRows))
	if err := r.sqlite(ctx, compared); err != nil {
		return fmt.Errorf("measure SQLite: %w", err)
	}
	if b.CitusURL != "" {
		if err := r.citus(ctx, compared, b.CitusURL); err != nil {
			return fmt.Errorf("compare with Citus: %w", err)
		}
	}
	return r.print()
}

// generator returns the rows of 30 days. The dates are fixed, so that runs are alike.
func (b *logsBench) generator(rows int) *generator {
	return newGenerator(rows, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), logsvc.DefaultRetention, b.IDs == "random")
}

// postgres measures the log service on Postgres.
func (r *logsRun) postgres(ctx context.Context) (err error) {
	l, err := r.startEmpty(ctx, "logs")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	if err := r.passDays(ctx, l); err != nil {
		return err
	}
	for _, measure := range []func(context.Context, *logService) error{
		func(ctx context.Context, l *logService) error { return l.lists(ctx, r.g, r.report) },
		r.counts, r.growth, r.heap, r.sealing, r.retention,
	} {
		if err := measure(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// passDays takes all rows through the service. The same rows are copied by the baseline in turn.
func (r *logsRun) passDays(ctx context.Context, l *logService) error {
	copied, err := newBaseline(ctx, l.url)
	if err != nil {
		return err
	}
	p, err := l.fill(ctx, r.g, copied.copy)
	if err := errors.Join(err, copied.drop(ctx)); err != nil {
		return err
	}
	rows := float64(p.rows)
	r.add("ingest_rows_per_s", "ingest through gRPC", "%.0f rows/s", rows/p.recording.Seconds(), "")
	r.add("copy_rows_per_s", "one stream of COPY, primary key alone", "%.0f rows/s", rows/copied.took.Seconds(), "")
	r.add("ingest_ratio", "ingest ÷ COPY", "%.2f", copied.took.Seconds()/p.recording.Seconds(), "≥ 0.7")
	return r.disk(ctx, l, p)
}

// fill takes all rows of g through a service. BeforePart may be nil.
func (l *logService) fill(ctx context.Context, g *generator, beforePart func(context.Context, [][]logsvc.Entry) error) (*passage, error) {
	for day := g.start; !day.After(g.end()); day = day.Add(dayLength) { // in reality they are created ahead too
		if err := l.store.CreateDay(ctx, day); err != nil {
			return nil, err
		}
	}
	p := newPassage(l.clock, l.store, l.record)
	p.beforePart, p.afterPass = beforePart, l.vacuum
	return p, p.run(ctx, g)
}

// startEmpty runs a log service on an empty database.
func (r *logsRun) startEmpty(ctx context.Context, name string) (*logService, error) {
	url, err := r.makeDatabase(name)
	if err != nil {
		return nil, err
	}
	return startLogs(ctx, url, newClock(r.g.start))
}

// growth compares the median latency of a first page with that of a service with a tenth of the rows, in turn.
func (r *logsRun) growth(ctx context.Context, l *logService) (err error) {
	few, err := r.startEmpty(ctx, "few")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, few.stop()) }()
	if _, err := few.fill(ctx, newGenerator(r.g.rows/10, r.g.start, r.g.span, r.g.randomIDs), nil); err != nil {
		return err
	}
	ratio, err := compare(ctx, l, few, func() *request { return &request{} })
	r.add("first_page_growth", "first page ÷ first page of a tenth of the rows", "%.2f", ratio, "≤ 1.1")
	return err
}

// compare returns the median latency of a page of one service relative to that of another one, measured in turn.
func compare(ctx context.Context, one, other *logService, next func() *request) (float64, error) {
	sides := [2]*logService{one, other}
	var took [2][]time.Duration
	for i := range 2*runs + 20 {
		for side, l := range sides {
			began := time.Now()
			if _, err := l.page(ctx, next()); err != nil {
				return 0, err
			}
			if i >= 20 {
				took[side] = append(took[side], time.Since(began))
			}
		}
	}
	return float64(quantile(took[0], 0.5)) / float64(quantile(took[1], 0.5)), nil
}

// counts measures the counts of the largest workspace over all days.
func (r *logsRun) counts(ctx context.Context, l *logService) error {
	var took []time.Duration
	calls := int64(0)
	for i := -10; i < runs; i++ {
		began := time.Now()
		summary, err := l.searcher.Summarize(ctx, logsvc.SummaryQuery{
			WorkspaceID: "ws-0000", Range: logsvc.TimeRange(r.g.start, r.g.end()),
		})
		if err != nil {
			return err
		}
		if i >= 0 {
			took = append(took, time.Since(began))
		}
		calls = 0
		for _, tally := range summary.Counts {
			calls += tally.Calls
		}
	}
	r.addTimes("counts", fmt.Sprintf("counts by hour, class and code (%d calls)", calls), took, "≤ 10 ms")
	return nil
}
