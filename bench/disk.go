package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/sqlite"
)

// vacuum does after a pass of the sealer what autovacuum does many times in a real day, so that rows take the place of sealed
// ones, and the planner knows as much as in reality: on the partitions of today and yesterday.
func (l *logService) vacuum(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, l.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var names []string
	for _, day := range []time.Time{l.clock.now(), l.clock.now().Add(-dayLength)} {
		suffix := day.Format("_20060102")
		names = append(names, "request_logs"+suffix, "request_log_blocks"+suffix)
	}
	var tables string // there is no day before the first one
	err = conn.QueryRow(ctx, `SELECT string_agg(oid::regclass::text, ', ') FROM pg_class
		WHERE relnamespace = 'keytrail_logs'::regnamespace AND relname = ANY($1)`, names).Scan(&tables)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "VACUUM (ANALYZE) "+tables)
	return err
}

// disk adds what the rows take on disk, and how quickly rows were sealed.
func (r *logsRun) disk(ctx context.Context, l *logService, p *passage) error {
	conn, err := pgx.Connect(ctx, l.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `CHECKPOINT`); err != nil {
		return err
	}
	var bytes, recent, sealed int64
	err = conn.QueryRow(ctx, `SELECT
		(SELECT sum(pg_total_relation_size(oid)) FROM pg_class
			WHERE relnamespace = 'keytrail_logs'::regnamespace AND relkind = 'r'),
		(SELECT count(*) FROM keytrail_logs.request_logs),
		(SELECT coalesce(sum(rows), 0) FROM keytrail_logs.request_log_blocks)`,
	).Scan(&bytes, &recent, &sealed)
	if err != nil {
		return err
	}
	if recent+sealed != int64(p.rows) {
		return fmt.Errorf("%d recent and %d sealed rows are not the %d recorded ones", recent, sealed, p.rows)
	}
	goal := "≤ 28"
	if r.g.randomIDs {
		goal = "≤ 34"
	}
	name := fmt.Sprintf("on disk (%d rows not sealed)", recent)
	r.add("bytes_per_row", name, "%.1f B/row", float64(bytes)/float64(p.rows), goal)
	r.add("seal_all_rows_per_s", "sealing, all passes of 30 days", "%.0f rows/s", float64(sealed)/p.sealing.Seconds(), "")
	return nil
}

// sqlite adds what rows take in a SQLite file.
func (r *logsRun) sqlite(ctx context.Context, g *generator) (err error) {
	dir, err := os.MkdirTemp("", "keytrail-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "logs.db"))
	if err != nil {
		return err
	}
	p := newPassage(newClock(g.start), store, func(ctx context.Context, batches [][]logsvc.Entry) error {
		return sendAll(ctx, 1, batches, store.Record)
	})
	if err := errors.Join(p.run(ctx, g), store.Close()); err != nil { // closing it is a checkpoint
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	bytes := int64(0)
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			return err
		}
		bytes += info.Size()
	}
	rows := float64(p.rows)
	r.add("sqlite_bytes_per_row", fmt.Sprintf("SQLite, %d rows: on disk", p.rows), "%.1f B/row", float64(bytes)/rows, "≤ 45")
	r.add("sqlite_ingest_rows_per_s", "SQLite: ingest without gRPC", "%.0f rows/s", rows/p.recording.Seconds(), "")
	r.add("sqlite_seal_rows_per_s", "SQLite: sealing", "%.0f rows/s", rows/p.sealing.Seconds(), "")
	return nil
}
