package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/logsvc"
)

// Get implements logsvc.Store.
func (s *Store) Get(ctx context.Context, workspaceID string, id uuid.UUID) (logsvc.Entry, bool, error) {
	st := &statement{}
	workspace := st.arg(workspaceID)
	st.withKeys(workspace, "SELECT "+columns+" FROM request_logs t WHERE t.workspace_id = "+workspace+" AND t.id = "+st.arg(pgUUID(id)))
	rows, _ := s.readers.Query(ctx, st.sql, st.args...) // an error is returned by CollectExactlyOneRow too
	entry, err := pgx.CollectExactlyOneRow(rows, scanEntry(workspaceID))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return logsvc.Entry{}, false, nil
	case err != nil:
		return logsvc.Entry{}, false, fmt.Errorf("get request log %s of %s: %w", id, workspaceID, pgdb.Unavailable(ctx, err))
	}
	return entry, true, nil
}

// dump reads along the primary keys of the days, one after the other.
const dump = `SELECT ` + columns + `, ` + keyColumns + `
	FROM (SELECT ` + columns + ` FROM request_logs t WHERE t.workspace_id = $1 AND t.id >= $2 AND t.id < $3
		ORDER BY t.id LIMIT $4) t
	LEFT JOIN request_log_keys k ON k.workspace_id = $1 AND k.key_ref = t.key_ref
	ORDER BY t.id`

// Dump returns up to limit entries of the workspace that are in the range, by ascending id. It is not part of logsvc.Store:
// migrations use it to verify that all rows have arrived.
func (s *Store) Dump(ctx context.Context, workspaceID string, ids logsvc.Range, limit int) ([]logsvc.Entry, error) {
	rows, _ := s.readers.Query(ctx, dump, workspaceID, pgUUID(ids.From), pgUUID(ids.To), limit) // see Get
	entries, err := pgx.CollectRows(rows, scanEntry(workspaceID))
	if err != nil {
		return nil, fmt.Errorf("dump request logs of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
	}
	return entries, nil
}
