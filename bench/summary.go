package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
	"github.com/keytrail/keytrail/logsvc/postgres"
	"github.com/keytrail/keytrail/logsvc/sqlite"
)

const (
	summaryRuns = 60
	// unsealedRows are those of the last 15 minutes of 5 M rows in 30 days, and those that wait for a block.
	unsealedRows = 4_000
	// backlogRows is how many rows a workspace has that are not sealed when sealing is behind.
	backlogRows = 50_000
)

type summaryBench struct {
	database `embed:""`
	Rows     int      `default:"5000000" help:"Number of request logs of one workspace, spread over 30 days."`
	Keys     []int    `default:"20,1000,10000" help:"Numbers of keys; each is measured by itself."`
	Stores   []string `default:"sqlite,postgres" enum:"sqlite,postgres" help:"Stores to measure."`
}

// Run measures summaries and the list of keys in one large workspace.
func (b *summaryBench) Run(ctx context.Context) (err error) {
	makeDatabase, stop, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	dir, err := os.MkdirTemp("", "keytrail-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := report{"rows": float64(b.Rows)}
	fmt.Printf("%d rows; latencies are p50 / p99\n", b.Rows)
	for _, name := range b.Stores {
		for _, keys := range b.Keys {
			m := &summaryRun{report: r, prefix: fmt.Sprintf("%s_%d_keys_", name, keys), keys: newKeys(keys)}
			m.g = newGenerator(b.Rows, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), logsvc.DefaultRetention, false)
			fmt.Printf("\n%s, %d keys\n", name, keys)
			if err := m.run(ctx, name, dir, makeDatabase); err != nil {
				return fmt.Errorf("%s with %d keys: %w", name, keys, err)
			}
		}
	}
	return r.print()
}

// newKeys returns the snapshots of keys.
func newKeys(count int) []logsvc.Entry {
	r := rand.New(rand.NewPCG(8, 9))
	keys := make([]logsvc.Entry, count)
	for i := range keys {
		keys[i] = logsvc.Entry{
			KeyID:   randomID(r, time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)),
			KeyName: fmt.Sprintf("key %05d for prod", i), KeyLast4: randomHex(r, 4),
		}
	}
	return keys
}

// summaryRun is the measurement of one store with a number of keys.
type summaryRun struct {
	report
	prefix  string
	g       *generator
	keys    []logsvc.Entry
	store   logsvc.Store
	service *logsvc.Service
}

func (m *summaryRun) run(ctx context.Context, name, dir string, makeDatabase func(string) (string, error)) (err error) {
	closeStore, err := m.open(ctx, name, dir, makeDatabase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	m.service = logsvc.NewService(m.store, logsvc.Config{
		Retention: logsvc.DefaultRetention, SearchBudget: logsvc.DefaultSearchBudget,
		Now: m.g.end, OnDamage: func(_ string, _ logsvc.Block, err error) { panic(err) },
	})
	if err := m.fill(ctx); err != nil {
		return err
	}
	return m.measure(ctx)
}

func (m *summaryRun) open(
	ctx context.Context, name, dir string, makeDatabase func(string) (string, error),
) (closeStore func() error, err error) {
	if name == "sqlite" {
		store, err := sqlite.Open(ctx, filepath.Join(dir, fmt.Sprintf("logs%d.db", len(m.keys))))
		if err != nil {
			return nil, err
		}
		m.store = store
		return store.Close, nil
	}
	url, err := makeDatabase("summary")
	if err != nil {
		return nil, err
	}
	store, err := postgres.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	for day := m.g.start; !day.After(m.g.end()); day = day.Add(dayLength) {
		if err := store.CreateDay(ctx, day); err != nil {
			return nil, errors.Join(err, store.Close())
		}
	}
	m.store = store
	return store.Close, nil
}

// fill stores blocks as they are at the end of each day, and rows that are not sealed yet.
func (m *summaryRun) fill(ctx context.Context) error {
	encoder, size := block.NewEncoder(), 0
	perDay := m.g.rows / m.g.days()
	last := m.g.rows - unsealedRows
	for from := 0; from < last; {
		dayEnd := (from/perDay + 1) * perDay
		to := min(from+logsvc.DefaultBlockRows, dayEnd, last)
		packed, err := encoder.Encode(m.rows("ws-0000", from, to))
		if err != nil {
			return err
		}
		size += len(packed.Summary) + len(packed.Data)
		sealed := logsvc.SealedBlock{Data: packed.Data, Block: logsvc.Block{
			ID: uuid.New(), First: packed.First, Last: packed.Last, Rows: packed.Rows, Summary: packed.Summary,
		}}
		if err := m.store.Replace(ctx, "ws-0000", logsvc.Change{Insert: []logsvc.SealedBlock{sealed}}); err != nil {
			return err
		}
		from = to
	}
	m.add(m.prefix+"bytes_per_row", "blocks", "%.2f B/row", float64(size)/float64(last), "")
	return errors.Join(m.recordRows(ctx, "ws-0000", last), m.recordRows(ctx, "backlog", m.g.rows-backlogRows))
}

// recordRows stores the rows from a number on, which are not sealed.
func (m *summaryRun) recordRows(ctx context.Context, workspaceID string, from int) error {
	for ; from < m.g.rows; from += 1000 {
		if err := m.store.Record(ctx, m.rows(workspaceID, from, min(from+1000, m.g.rows))); err != nil {
			return err
		}
	}
	return nil
}

// rows returns rows of the generator as rows of one workspace with the keys, by ascending id.
func (m *summaryRun) rows(workspaceID string, from, to int) []logsvc.Entry {
	r := rand.New(rand.NewPCG(uint64(from), 5))
	rows := m.g.batch(from, to)
	for i := range rows {
		key := &m.keys[r.IntN(len(m.keys))]
		rows[i].WorkspaceID = workspaceID
		rows[i].KeyID, rows[i].KeyName, rows[i].KeyLast4 = key.KeyID, key.KeyName, key.KeyLast4
	}
	slices.SortFunc(rows, func(a, b logsvc.Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) }) // processes share milliseconds
	return rows
}

func (m *summaryRun) measure(ctx context.Context) error {
	r := rand.New(rand.NewPCG(1, 4))
	for _, c := range []struct {
		key, name string
		filter    func() logsvc.Filter
	}{
		{"all", "summary", func() logsvc.Filter { return logsvc.Filter{} }},
		{"key", "summary of a key", func() logsvc.Filter { return logsvc.Filter{KeyID: m.keys[r.IntN(len(m.keys))].KeyID} }},
		{"class", "summary of 4xx", func() logsvc.Filter { return logsvc.Filter{StatusClass: 4} }},
		{"code", "summary of a code", func() logsvc.Filter { return logsvc.Filter{ErrorCode: "scope_denied"} }},
	} {
		err := m.times(c.key, c.name, func() error {
			summary, complete, err := m.service.Summarize(ctx, m.query("ws-0000", c.filter()))
			if err == nil && (!complete || len(summary.Counts) == 0) {
				err = errors.New("it has not counted all")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(m.keyList(ctx), m.otherFilter(ctx), m.backlog(ctx))
}

// query selects 30 days less half an hour: the first block is counted entry by entry.
func (m *summaryRun) query(workspaceID string, filter logsvc.Filter) logsvc.SummaryQuery {
	ids := logsvc.TimeRange(m.g.start.Add(30*time.Minute), time.Time{})
	return logsvc.SummaryQuery{WorkspaceID: workspaceID, Filter: filter, Range: ids}
}

// times measures how long a function takes, and its CPU time, without that of Postgres.
func (m *summaryRun) times(key, name string, do func() error) error {
	var took []time.Duration
	var cpu time.Duration
	for i := -5; i < summaryRuns; i++ {
		if i == 0 {
			cpu = cpuTime()
		}
		began := time.Now()
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if i >= 0 {
			took = append(took, time.Since(began))
		}
	}
	m.addTimes(m.prefix+key, name, took, "≤ 100 ms")
	m.add(m.prefix+key+"_cpu_ms", "its CPU, on average", "%.0f ms", ms(cpuTime()-cpu)/summaryRuns, "")
	return nil
}

func (m *summaryRun) keyList(ctx context.Context) error {
	return m.times("keys", "first page of the keys", func() error {
		page, err := m.service.ListKeys(ctx, "ws-0000", uuid.Max, 50)
		if err == nil && len(page.Keys) != min(50, len(m.keys)) {
			err = fmt.Errorf("%d keys", len(page.Keys))
		}
		return err
	})
}

// otherFilter measures how far a summary comes that has to look at rows.
func (m *summaryRun) otherFilter(ctx context.Context) error {
	began := time.Now()
	summary, complete, err := m.service.Summarize(ctx, m.query("ws-0000", logsvc.Filter{Method: "PUT"}))
	if err != nil {
		return err
	}
	m.add(m.prefix+"method_ms", fmt.Sprintf("summary of a method, complete: %t", complete), "%.0f ms", ms(time.Since(began)), "")
	calls := int64(0)
	for _, tally := range summary.Counts {
		calls += tally.Calls
	}
	m.add(m.prefix+"method_calls", "its calls", "%.0f", float64(calls), "")
	return nil
}

// backlog measures a summary of rows that are all unsealed.
func (m *summaryRun) backlog(ctx context.Context) error {
	return m.times("backlog", fmt.Sprintf("summary of %d rows that are not sealed", backlogRows), func() error {
		_, _, err := m.service.Summarize(ctx, m.query("backlog", logsvc.Filter{}))
		return err
	})
}
