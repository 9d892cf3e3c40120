package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/logsvc"
)

// The baseline: COPY of the same rows into the table, without a service, deduplication or dictionary.

var copyColumns = []string{
	"id", "latency_us", "key_ref", "call_count", "hour", "status", "from_report", "workspace_id", "agent_type", "agent_id", "method",
	"error_code", "cause", "endpoint",
}

// copyRows copies all rows over a number of connections and returns the rows per second.
func copyRows(ctx context.Context, url string, g *generator, connections int) (float64, error) {
	const chunk = 50_000
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	// Rows are generated concurrently, as in ingest.
	next := make(chan []logsvc.Entry, 2)
	for range connections {
		group.Go(func() error {
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				return err
			}
			defer conn.Close(ctx)
			for rows := range next {
				if _, err := conn.CopyFrom(ctx, pgx.Identifier{"keytrail_logs", "request_logs"}, copyColumns, &source{rows: rows}); err != nil {
					return fmt.Errorf("copy: %w", err)
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(next)
		for from := 0; from < g.rows; from += chunk {
			select {
			case next <- g.batch(from, min(from+chunk, g.rows)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return float64(g.rows) / time.Since(began).Seconds(), nil
}

// source is a pgx.CopyFromSource of entries.
type source struct {
	rows   []logsvc.Entry
	at     int
	values [14]any
}

// Next implements pgx.CopyFromSource.
func (s *source) Next() bool { s.at++; return s.at <= len(s.rows) }

// Err implements pgx.CopyFromSource.
func (s *source) Err() error { return nil }

// Values implements pgx.CopyFromSource. key_ref is any number that is unique to the key.
func (s *source) Values() ([]any, error) {
	e := &s.rows[s.at-1]
	s.values = [14]any{
		[16]byte(e.ID), e.Latency.Microseconds(), int64(binary.BigEndian.Uint64(e.KeyID[8:]) >> 1), int32(e.CallCount),
		int16(e.Time().Hour()), int16(e.Status), e.FromReport, e.WorkspaceID, e.AgentType, e.AgentID, e.Method,
		e.ErrorCode, e.Cause, e.Endpoint,
	}
	return s.values[:], nil
}
