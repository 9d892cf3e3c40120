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
	// upsertRows is how many rows one statement stores: it takes two thirds of the CPU of a statement a row.
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
	rest := len(entries) % upsertRows
	if err := store(ctx, tx, entries[rest:], upsertRows); err != nil {
		return err
	}
	if err := store(ctx, tx, entries[:rest], rest); err != nil {
		return err
	}
	return tx.Commit()
}

// store upserts entries, so many with each statement; their number is a multiple of that.
func store(ctx context.Context, tx *sql.Tx, entries []logsvc.Entry, perStatement int) error {
	if len(entries) == 0 {
		return nil
	}
	rows := strings.TrimSuffix(strings.Repeat(row+",", perStatement), ",")
	upsert, err := tx.PrepareContext(ctx, insert+rows+onConflict)
	if err != nil {
		return err
	}
	defer upsert.Close()
	for chunk := range slices.Chunk(entries, perStatement) {
		args := make([]any, 0, 12*perStatement)
		for _, e := range chunk {
			args = append(args, values(e)...)
		}
		if _, err := upsert.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}
