package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// selectAscending reads along the primary key.
const selectAscending = `SELECT ` + columns + ` FROM request_logs
	WHERE workspace_id = ? AND id >= ? AND id < ? ORDER BY id LIMIT ?`

// Oldest implements logsvc.Store.
func (s *Store) Oldest(ctx context.Context, workspaceID string, ids logsvc.Range, limit int) ([]logsvc.Entry, error) {
	oldest, err := entries(ctx, s.db.Read, selectAscending, workspaceID, ids.From[:], ids.To[:], limit)
	if err != nil {
		return nil, fmt.Errorf("read the oldest request logs of %s: %w", workspaceID, err)
	}
	return oldest, nil
}

// Backlog implements logsvc.Store.
func (s *Store) Backlog(ctx context.Context, before uuid.UUID, minRows int) (all []logsvc.Backlog, err error) {
	for workspaceID := ""; ; {
		if workspaceID, err = s.NextWorkspace(ctx, workspaceID); err != nil || workspaceID == "" {
			return all, err
		}
		for ids := (logsvc.Range{To: before}); !ids.Empty(); {
			b, err := s.oldestDay(ctx, workspaceID, ids)
			if err != nil {
				return nil, fmt.Errorf("count unsealed request logs of %s: %w", workspaceID, err)
			}
			if b.Rows == 0 {
				break
			}
			if b.Rows >= int64(minRows) {
				all = append(all, b)
			}
			ids.From = uuid7.First(b.Day.Add(day))
		}
	}
}

const day = 24 * time.Hour

const (
	selectOldest = `SELECT id FROM request_logs WHERE workspace_id = ? AND id >= ? AND id < ? ORDER BY id LIMIT 1`
	countRows    = `SELECT count(*) FROM request_logs WHERE workspace_id = ? AND id >= ? AND id < ?`
)

// oldestDay counts the rows of the oldest day that has some in the range.
func (s *Store) oldestDay(ctx context.Context, workspaceID string, ids logsvc.Range) (b logsvc.Backlog, err error) {
	b.WorkspaceID = workspaceID
	oldest, err := selectID(ctx, s.db.Read, uuid.Nil, selectOldest, workspaceID, ids.From[:], ids.To[:])
	if err != nil || oldest == uuid.Nil {
		return b, err
	}
	b.Day = uuid7.Time(oldest).Truncate(day)
	ids = ids.Overlap(logsvc.TimeRange(b.Day, b.Day.Add(day)))
	err = s.db.Read.QueryRowContext(ctx, countRows, workspaceID, ids.From[:], ids.To[:]).Scan(&b.Rows)
	return b, err
}

const selectNextWorkspace = `SELECT min(workspace_id) FROM (
	SELECT min(workspace_id) AS workspace_id FROM request_logs WHERE workspace_id > ?1
	UNION ALL SELECT min(workspace_id) FROM request_log_blocks WHERE workspace_id > ?1)`

// NextWorkspace implements logsvc.Store.
func (s *Store) NextWorkspace(ctx context.Context, after string) (string, error) {
	var workspaceID sql.NullString
	if err := s.db.Read.QueryRowContext(ctx, selectNextWorkspace, after).Scan(&workspaceID); err != nil {
		return "", fmt.Errorf("find the workspace after %q: %w", after, err)
	}
	return workspaceID.String, nil
}
