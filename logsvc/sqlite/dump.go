package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/keytrail/keytrail/logsvc"
)

// These methods are not part of logsvc.Store: the migration to Postgres uses them.

// NextWorkspace returns the first workspace after another, in byte order, that has entries; empty if there is none. With an
// empty argument it returns the first of all.
func (s *Store) NextWorkspace(ctx context.Context, after string) (string, error) {
	workspaceID, _, err := s.workspaceAfter(ctx, after)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the workspace after %q: %w", after, err)
	}
	return workspaceID, nil
}

// Count returns how many entries of the workspace are in the range. It reads all of them.
func (s *Store) Count(ctx context.Context, workspaceID string, ids logsvc.Range) (count int64, err error) {
	err = s.db.Read.QueryRowContext(ctx, `SELECT count(*) FROM request_logs WHERE workspace_id = ? AND id >= ? AND id < ?`,
		workspaceID, ids.From[:], ids.To[:]).Scan(&count)
	if err != nil {
		return 0, fmt.Errorf("count the request logs of %s: %w", workspaceID, err)
	}
	return count, nil
}

// dump reads along the primary key.
const dump = `SELECT ` + columns + ` FROM request_logs WHERE workspace_id = ? AND id >= ? AND id < ? ORDER BY id LIMIT ?`

// Dump returns up to limit entries of the workspace that are in the range, by ascending id.
func (s *Store) Dump(ctx context.Context, workspaceID string, ids logsvc.Range, limit int) ([]logsvc.Entry, error) {
	entries, err := s.entries(ctx, dump, workspaceID, ids.From[:], ids.To[:], limit)
	if err != nil {
		return nil, fmt.Errorf("dump request logs of %s: %w", workspaceID, err)
	}
	return entries, nil
}
