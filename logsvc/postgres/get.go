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
	rows, err := s.readers.Query(ctx, st.sql, st.args...)
	if err == nil {
		var entry logsvc.Entry
		if entry, err = pgx.CollectExactlyOneRow(rows, scanEntry(workspaceID)); err == nil {
			return entry, true, nil
		}
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return logsvc.Entry{}, false, nil
	}
	return logsvc.Entry{}, false, fmt.Errorf("get request log %s of %s: %w", id, workspaceID, pgdb.Unavailable(ctx, err))
}
