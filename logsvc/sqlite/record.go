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
	// upsertRows is how many rows one statement stores, which takes half the CPU time of one statement per row.
	upsertRows = 100

	insert = `INSERT INTO request_logs AS t (` + columns + `) VALUES `
	row    = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	// outranks is the order of logsvc.Merge: whether the new row knows more about the end of the call than the stored one.
	outranks = `(excluded.status <> 0 AND (t.status = 0 OR excluded.latency_us IS NOT NULL AND t.latency_us IS NULL))`
	// describes is whether the new row describes the call better: it was made by a check, and the stored one was not.
	describes = `(t.from_report AND NOT excluded.from_report)`
)

// onConflict merges as logsvc.Merge does. SQLite applies it to the rows of a statement one after the other, so they may
// repeat an id.
var onConflict = ` ON CONFLICT (workspace_id, id) DO UPDATE SET
	` + newWhere(outranks, "status", "error_code", "cause", "latency_us") + `,
	` + newWhere(describes, "key_id", "key_name", "key_last4", "external_id", "agent_type", "agent_id", "method", "endpoint",
	"from_report") + `,
	call_count = max(t.call_count, excluded.call_count)
	WHERE ` + outranks + ` OR ` + describes + ` OR excluded.call_count > t.call_count`

// newWhere sets columns to those of the new row where a condition holds.
func newWhere(condition string, columns ...string) string {
	var set []string
	for _, c := range columns {
		set = append(set, fmt.Sprintf("%[1]s = iif(%[2]s, excluded.%[1]s, t.%[1]s)", c, condition))
	}
	return strings.Join(set, ", ")
}

// Record implements logsvc.Store.
func (s *Store) Record(ctx context.Context, entries []logsvc.Entry) error {
	if err := s.record(ctx, entries); err != nil {
		return fmt.Errorf("record %d request logs: %w", len(entries), err)
	}
	s.announce(entries)
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

// upsert stores entries with one prepared statement, rowsEach at a time, which must divide their number.
func upsert(ctx context.Context, tx *sql.Tx, entries []logsvc.Entry, rowsEach int) error {
	if len(entries) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, insert+strings.Repeat(row+", ", rowsEach-1)+row+onConflict)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for chunk := range slices.Chunk(entries, rowsEach) {
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
