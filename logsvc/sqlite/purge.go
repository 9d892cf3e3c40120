package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

const (
	purgeChunk = `DELETE FROM request_logs WHERE workspace_id = ?1 AND id IN
		(SELECT id FROM request_logs WHERE workspace_id = ?1 AND id <= ?2 ORDER BY id LIMIT ?3)`
	expireChunk = `DELETE FROM request_logs WHERE workspace_id = ?1 AND id IN
		(SELECT id FROM request_logs WHERE workspace_id = ?1 AND id < ?2 ORDER BY id LIMIT ?3)`
)

// Purge implements logsvc.Store.
func (s *Store) Purge(ctx context.Context, workspaceID string, upTo uuid.UUID) (int64, error) {
	deleted, err := s.deleteRows(ctx, purgeChunk, workspaceID, upTo)
	if err != nil {
		return 0, fmt.Errorf("purge request logs of %s: %w", workspaceID, err)
	}
	return deleted, nil
}

// Expire implements logsvc.Store. It is exact, also within a day. It goes from one workspace to the next along the primary key,
// so that no index on the id alone is needed.
func (s *Store) Expire(ctx context.Context, before uuid.UUID) error {
	for last := ""; ; {
		workspaceID, oldest, err := s.workspaceAfter(ctx, last)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil && bytes.Compare(oldest[:], before[:]) < 0 {
			err = s.expire(ctx, workspaceID, before)
		}
		if err != nil {
			return fmt.Errorf("expire request logs: %w", err)
		}
		last = workspaceID
	}
}

func (s *Store) workspaceAfter(ctx context.Context, last string) (workspaceID string, oldest uuid.UUID, err error) {
	err = s.db.Read.QueryRowContext(ctx, `SELECT workspace_id, id FROM request_logs WHERE workspace_id > ?
		ORDER BY workspace_id, id LIMIT 1`, last).Scan(&workspaceID, &oldest)
	return workspaceID, oldest, err
}

func (s *Store) expire(ctx context.Context, workspaceID string, before uuid.UUID) error {
	for {
		deleted, err := s.deleteRows(ctx, expireChunk, workspaceID, before)
		if err != nil || deleted == 0 {
			return err
		}
	}
}

// deleteRows deletes one chunk in a transaction of its own, so that other writers get a turn before the next.
func (s *Store) deleteRows(ctx context.Context, statement, workspaceID string, bound uuid.UUID) (int64, error) {
	result, err := s.db.Write.ExecContext(ctx, statement, workspaceID, bound[:], s.deleteChunk)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
