package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/logsvc"
)

// dump reads along the primary keys of the days, one after the other.
const dump = `SELECT ` + columns + `, ` + keyColumns + `
	FROM (SELECT ` + columns + ` FROM request_logs t WHERE t.workspace_id = $1 AND t.id >= $2 AND t.id < $3
		ORDER BY t.id LIMIT $4) t
	LEFT JOIN request_log_keys k ON k.workspace_id = $1 AND k.key_ref = t.key_ref
	ORDER BY t.id`

// Dump answers up to limit entries of the workspace that are in the range, whole, by ascending id. It is beside
// logsvc.Store: for whoever moves everything from another store and wants to see that it has arrived.
func (s *Store) Dump(ctx context.Context, workspaceID string, ids logsvc.Range, limit int) ([]logsvc.Entry, error) {
	rows, err := s.readers.Query(ctx, dump, workspaceID, pgUUID(ids.From), pgUUID(ids.To), limit)
	if err == nil {
		var entries []logsvc.Entry
		if entries, err = pgx.CollectRows(rows, scanEntry(workspaceID)); err == nil {
			return entries, nil
		}
	}
	return nil, fmt.Errorf("dump request logs of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
}
