package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/keytrail/keytrail/logsvc"
)

const (
	// upsertRows is how many rows one statement stores: half the CPU time of a statement a row.
	upsertRows = 100

	insert = `INSERT INTO request_logs (` + columns + `) VALUES `
	row    = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	// onConflict is the rule of the contract: only a finished row changes anything, of one in progress its end, of a
	// finished one how many calls it stands for. In both cases the new number is the one that was sent.
	// SQLite applies it to the rows of a statement one after the other, so they may repeat an id.
	onConflict = ` ON CONFLICT (workspace_id, id) DO UPDATE SET
		status     = CASE request_logs.status WHEN 0 THEN excluded.status     ELSE request_logs.status     END,
		error_code = CASE request_logs.status WHEN 0 THEN excluded.error_code ELSE request_logs.error_code END,
		latency_us = CASE request_logs.status WHEN 0 THEN excluded.latency_us ELSE request_logs.latency_us END,
		repeated   = excluded.repeated
		WHERE excluded.status <> 0 AND (request_logs.status = 0 OR excluded.repeated > request_logs.repeated)`
)

// Record implements logsvc.Store.
func (s *Store) Record(ctx context.Context, entries []logsvc.Entry) error {
	if err := s.record(ctx, entries); err != nil {
		return fmt.Errorf("record %d request logs: %w", len(entries), err)
	}
	return nil
}

func (s *Store) record(ctx context.Context, entries []logsvc.Entry) error {
	tx, err := s.db.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	whole := len(entries) - len(entries)%upsertRows
	if err := upsert(ctx, tx, entries[:whole], upsertRows); err != nil {
		return err
	}
	if err := upsert(ctx, tx, entries[whole:], len(entries)-whole); err != nil {
		return err
	}
	return tx.Commit()
}

// upsert stores entries with one prepared statement, so many at a time; it divides their number.
func upsert(ctx context.Context, tx *sql.Tx, entries []logsvc.Entry, atATime int) error {
	if len(entries) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, insert+strings.Repeat(row+", ", atATime-1)+row+onConflict)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for chunk := range slices.Chunk(entries, atATime) {
		var args []any
		for _, entry := range chunk {
			args = append(args, values(entry)...)
		}
		if _, err := stmt.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
