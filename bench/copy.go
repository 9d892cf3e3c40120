package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/logsvc"
)

// baseline is one stream of COPY into a table with the columns of request_logs and the primary key alone: without a service,
// partitions or deduplication.
type baseline struct {
	conn *pgx.Conn
	took time.Duration
	day  time.Time
}

// newBaseline creates the table in a database of the log service. It does not count as a table of the log service.
func newBaseline(ctx context.Context, url string) (*baseline, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `CREATE TABLE copied (LIKE keytrail_logs.request_logs, PRIMARY KEY (workspace_id, id))`)
	return &baseline{conn: conn}, err
}

// copy copies batches in one transaction. The table has the rows of one day, as a partition of the service.
func (b *baseline) copy(ctx context.Context, batches [][]logsvc.Entry) error {
	if day := batches[0][0].Time().Truncate(dayLength); day != b.day {
		b.day = day
		if _, err := b.conn.Exec(ctx, `TRUNCATE copied`); err != nil {
			return err
		}
	}
	began := time.Now()
	if _, err := b.conn.CopyFrom(ctx, pgx.Identifier{"copied"}, copyColumns, &source{batches: batches}); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	b.took += time.Since(began)
	return nil
}

func (b *baseline) drop(ctx context.Context) error {
	defer b.conn.Close(ctx)
	_, err := b.conn.Exec(ctx, `DROP TABLE copied`)
	return err
}

var copyColumns = []string{
	"id", "key_id", "latency_us", "call_count", "status", "from_report", "workspace_id", "key_name", "key_last4", "external_id",
	"agent_type", "agent_id", "method", "error_code", "cause", "endpoint",
}

// source is a pgx.CopyFromSource of entries.
type source struct {
	batches [][]logsvc.Entry
	at      int
	values  [16]any
}

// Next implements pgx.CopyFromSource.
func (s *source) Next() bool {
	if s.at++; len(s.batches) > 0 && s.at > len(s.batches[0]) {
		s.batches, s.at = s.batches[1:], 1
	}
	return len(s.batches) > 0
}

// Err implements pgx.CopyFromSource.
func (s *source) Err() error { return nil }

// Values implements pgx.CopyFromSource.
func (s *source) Values() ([]any, error) {
	e := &s.batches[0][s.at-1]
	s.values = [...]any{
		[16]byte(e.ID), [16]byte(e.KeyID), e.Latency.Microseconds(), int32(e.CallCount), int16(e.Status), e.FromReport,
		e.WorkspaceID, e.KeyName, e.KeyLast4, e.ExternalID, e.AgentType, e.AgentID, e.Method, e.ErrorCode, e.Cause, e.Endpoint,
	}
	return s.values[:], nil
}
