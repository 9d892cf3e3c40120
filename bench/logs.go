package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/postgres"
)

// small is the number of rows in the small log service of growth.
const small = 1_000_000

type logsBench struct {
	database `embed:""`
	Rows     int `default:"1000000" help:"Number of request logs, spread over 30 days."`
}

// figures are the last line of the output.
type figures struct {
	Rows                int                `json:"rows"`
	IngestRowsPerS      float64            `json:"ingest_rows_per_s"`
	CopyRowsPerS        float64            `json:"copy_rows_per_s"`
	CopyTwoStreamsPerS  float64            `json:"copy_two_streams_rows_per_s"`
	CopyPKRowsPerS      float64            `json:"copy_pk_rows_per_s"`
	IngestRatio         float64            `json:"ingest_ratio"`
	IndexRowsPerS       float64            `json:"index_rows_per_s"`
	BytesPerRow         float64            `json:"bytes_per_row"`
	ListP99Ms           map[string]float64 `json:"list_p99_ms"`
	FirstPageGrowth     float64            `json:"first_page_growth"`
	PurgeDayS           float64            `json:"purge_day_s"`
	PurgeIngestP99Ratio float64            `json:"purge_ingest_p99_ratio"`
}

// Run measures ingest, lists and retention.
func (b *logsBench) Run(ctx context.Context) (err error) {
	makeDatabase, stop, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\t\n", name, fmt.Sprintf(format, args...))
		table.Flush()
	}
	f := &figures{Rows: b.Rows}
	// Shorter than the retention, so that no row expires while the measurement runs.
	g := newGenerator(b.Rows, logsvc.DefaultRetention-2*time.Hour, time.Now())
	for _, part := range []func(context.Context, *generator, func(string) (string, error), func(string, string, ...any)) error{
		f.copies, f.service,
	} {
		if err := part(ctx, g, makeDatabase, row); err != nil {
			return err
		}
	}
	line, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}

// copies measures the baselines: one and two COPY streams into the table with its indexes, and one into a table with
// only the primary key.
func (f *figures) copies(ctx context.Context, g *generator, makeDatabase func(string) (string, error), row func(string, string, ...any)) error {
	for _, baseline := range []struct {
		name        string
		connections int
		bare        bool
		rate        *float64
	}{{"copy", 1, false, &f.CopyRowsPerS}, {"copy, two streams", 2, false, &f.CopyTwoStreamsPerS}, {"copy, primary key only", 1, true, &f.CopyPKRowsPerS}} {
		url, err := makeDatabase("copy")
		if err != nil {
			return err
		}
		if err := prepare(ctx, url, g, baseline.bare); err != nil {
			return err
		}
		if *baseline.rate, err = copyRows(ctx, url, g, baseline.connections); err != nil {
			return err
		}
		*baseline.rate = round(*baseline.rate)
		row(baseline.name, "%.0f rows/s", *baseline.rate)
	}
	_, err := makeDatabase("copy")
	return err
}

// prepare creates the table with a partition for every day, as the service does.
func prepare(ctx context.Context, url string, g *generator, bare bool) error {
	store, err := postgres.Open(ctx, url, time.Now)
	if err != nil {
		return err
	}
	defer store.Close()
	for at := g.start; at.Before(g.end.Add(24 * time.Hour)); at = at.Add(24 * time.Hour) {
		if err := store.CreateDay(ctx, at); err != nil {
			return err
		}
	}
	if !bare {
		return nil
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `DROP INDEX keytrail_logs.request_logs_by_key, keytrail_logs.request_logs_failed,
		keytrail_logs.request_logs_failed_by_key, keytrail_logs.request_logs_denied`)
	return err
}

// smaller returns a log service with at most a million rows.
func smaller(ctx context.Context, g *generator, makeDatabase func(string) (string, error)) (*logService, error) {
	url, err := makeDatabase("small")
	if err != nil {
		return nil, err
	}
	l, err := startLogs(ctx, url)
	if err != nil {
		return nil, err
	}
	_, err = l.ingest(ctx, newGenerator(min(small, g.rows), g.end.Sub(g.start), g.end))
	return l, err
}

// growth returns the median latency of a first page relative to that of the smaller log service, measured in turn.
func (l *logService) growth(ctx context.Context, other *logService) (float64, error) {
	var here, there []time.Duration
	for range 2 * runs {
		for _, side := range []struct {
			on   *logService
			took *[]time.Duration
		}{{l, &here}, {other, &there}} {
			began := time.Now()
			if _, err := side.on.page(ctx, &request{}); err != nil {
				return 0, err
			}
			*side.took = append(*side.took, time.Since(began))
		}
	}
	return float64(quantile(here, 0.5)) / float64(quantile(there, 0.5)), nil
}

// service measures the log service itself.
func (f *figures) service(ctx context.Context, g *generator, makeDatabase func(string) (string, error), row func(string, string, ...any)) error {
	url, err := makeDatabase("logs")
	if err != nil {
		return err
	}
	l, err := startLogs(ctx, url)
	if err != nil {
		return err
	}
	if f.IngestRowsPerS, err = l.ingest(ctx, g); err != nil {
		return err
	}
	f.IngestRowsPerS, f.IngestRatio = round(f.IngestRowsPerS), round(f.IngestRowsPerS/f.CopyRowsPerS)
	row("ingest through gRPC", "%.0f rows/s", f.IngestRowsPerS)
	row("relative to one COPY stream", "%.2f", f.IngestRatio)
	began := time.Now()
	if err := l.store.Maintain(ctx); err != nil {
		return err
	}
	f.IndexRowsPerS = round(float64(g.rows) / time.Since(began).Seconds())
	row("maintenance of closed days", "%.0f rows/s", f.IndexRowsPerS)
	if f.BytesPerRow, err = bytesPerRow(ctx, url, g.rows); err != nil {
		return err
	}
	row("on disk, with all indexes", "%.1f B/row", f.BytesPerRow)
	if f.ListP99Ms, err = l.listAll(ctx, g, func(name string, took []time.Duration) {
		row("list "+name, "p50 %.2f ms  p99 %.2f ms  max %.2f ms  of %d", ms(quantile(took, 0.5)), ms(quantile(took, 0.99)), ms(quantile(took, 1)), len(took))
	}); err != nil {
		return err
	}
	few, err := smaller(ctx, g, makeDatabase)
	if err != nil {
		return err
	}
	growth, err := l.growth(ctx, few)
	if err != nil {
		return err
	}
	f.FirstPageGrowth = round(growth)
	row("growth of a first page", "%.2f", f.FirstPageGrowth)
	if err := few.stop(); err != nil {
		return err
	}
	longest, ratio, err := l.purge(ctx, g)
	if err != nil {
		return err
	}
	f.PurgeDayS, f.PurgeIngestP99Ratio = round(longest.Seconds()), round(ratio)
	row("retention of a day", "%.3f s", f.PurgeDayS)
	row("p99 of ingest during retention", "%.2f of the p99 before", f.PurgeIngestP99Ratio)
	return l.stop()
}

func bytesPerRow(ctx context.Context, url string, rows int) (float64, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	var bytes int64
	err = conn.QueryRow(ctx, `SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c
		WHERE c.relnamespace = 'keytrail_logs'::regnamespace AND c.relkind = 'r'`).Scan(&bytes)
	return round(float64(bytes) / float64(rows)), err
}
