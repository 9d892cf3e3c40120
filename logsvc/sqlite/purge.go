package sqlite

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

const (
	purgeRows = `DELETE FROM request_logs WHERE workspace_id = ?1 AND id IN
		(SELECT id FROM request_logs WHERE workspace_id = ?1 AND id <= ?2 ORDER BY id LIMIT ?3)`
	expireRows = `DELETE FROM request_logs WHERE workspace_id = ?1 AND id IN
		(SELECT id FROM request_logs WHERE workspace_id = ?1 AND id < ?2 ORDER BY id LIMIT ?3)`
	// expireBlocks leaves the block in which before lies. The bound on first_id ends the walk there.
	expireBlocks = `DELETE FROM request_log_blocks WHERE rowid IN
		(SELECT rowid FROM request_log_blocks WHERE workspace_id = ?1 AND first_id < ?2 AND last_id < ?2
		ORDER BY first_id LIMIT ?3)`
)

// PurgeRecent implements logsvc.Store.
func (s *Store) PurgeRecent(ctx context.Context, workspaceID string, upTo uuid.UUID) (int64, error) {
	deleted, err := s.deleteChunk(ctx, purgeRows, workspaceID, upTo, s.deleteRows)
	if err != nil {
		return 0, fmt.Errorf("purge request logs of %s: %w", workspaceID, err)
	}
	return deleted, nil
}

// Expire implements logsvc.Store. It is exact for rows, also within a day. It goes from one workspace to the next along the
// primary key, so that no index on the id alone is needed.
func (s *Store) Expire(ctx context.Context, before uuid.UUID) error {
	for workspaceID := ""; ; {
		var err error
		if workspaceID, err = s.NextWorkspace(ctx, workspaceID); err == nil && workspaceID != "" {
			err = s.expire(ctx, workspaceID, before)
		}
		if err != nil {
			return fmt.Errorf("expire request logs: %w", err)
		}
		if workspaceID == "" {
			return nil
		}
	}
}

func (s *Store) expire(ctx context.Context, workspaceID string, before uuid.UUID) error {
	for _, chunk := range []struct {
		statement string
		size      int
	}{{expireRows, s.deleteRows}, {expireBlocks, s.deleteBlocks}} {
		for {
			deleted, err := s.deleteChunk(ctx, chunk.statement, workspaceID, before, chunk.size)
			if err != nil {
				return err
			}
			if deleted == 0 {
				break
			}
		}
	}
	return nil
}

// deleteChunk deletes in a transaction of its own, so that other writers get a turn before the next.
func (s *Store) deleteChunk(ctx context.Context, statement, workspaceID string, bound uuid.UUID, size int) (int64, error) {
	return affected(s.db.Write.ExecContext(ctx, statement, workspaceID, bound[:], size))
}
