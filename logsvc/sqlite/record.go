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
	row    = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	// onConflict is the rule of the contract: only a finished row replaces anything, and only one in progress.
	// SQLite applies it to the rows of a statement one after the other, so they may repeat an id.
	onConflict = ` ON CONFLICT (workspace_id, id) DO UPDATE
		SET status = excluded.status, error_code = excluded.error_code, latency_us = excluded.latency_us
		WHERE request_logs.status = 0 AND excluded.status <> 0`
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
