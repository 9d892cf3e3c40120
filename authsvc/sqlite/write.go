package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

// Create implements authsvc.Store.
func (s *Store) Create(ctx context.Context, key authsvc.Key, request authsvc.Request) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := claim(ctx, tx, key.WorkspaceID, key.ID, request); err != nil {
			return err
		}
		revision, err := nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		if err := insertKey(ctx, tx, revision, key); err != nil {
			return err
		}
		return insertSecrets(ctx, tx, key)
	})
}

// Update implements authsvc.Store.
func (s *Store) Update(ctx context.Context, workspaceID string, id uuid.UUID, request authsvc.Request, change func(*authsvc.Key) error) (authsvc.Key, error) {
	var stored authsvc.Key
	err := s.write(ctx, func(tx *sql.Tx) error {
		before, err := get(ctx, tx, workspaceID, id)
		if err != nil {
			return err
		}
		if err := claim(ctx, tx, workspaceID, id, request); err != nil {
			return err
		}
		after := before
		if err := change(&after); err != nil {
			return err
		}
		after.ID, after.WorkspaceID, after.CreateTime = before.ID, before.WorkspaceID, before.CreateTime
		if err := replace(ctx, tx, after); err != nil {
			return err
		}
		stored, err = get(ctx, tx, workspaceID, id)
		return err
	})
	if err != nil {
		return authsvc.Key{}, err
	}
	return stored, nil
}

// Delete implements authsvc.Store: it leaves a tombstone.
func (s *Store) Delete(ctx context.Context, workspaceID string, id uuid.UUID, check func(*authsvc.Key) error) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		key, err := get(ctx, tx, workspaceID, id)
		if err != nil {
			return err
		}
		if err := check(&key); err != nil {
			return err
		}
		revision, err := nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		if err := bury(ctx, tx, revision, workspaceID, id); err != nil {
			return err
		}
		return deleteSecrets(ctx, tx, workspaceID, id)
	})
}

// claim takes note of a request, or fails where it was carried out before.
func claim(ctx context.Context, tx *sql.Tx, workspaceID string, keyID uuid.UUID, request authsvc.Request) error {
	if request.ID == uuid.Nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM key_requests WHERE workspace_id = ? AND create_time <= ?`,
		workspaceID, request.Time.Add(-authsvc.RequestLife).UnixMilli())
	if err != nil {
		return fmt.Errorf("forget old requests: %w", err)
	}
	var used uuid.UUID
	err = tx.QueryRowContext(ctx, `SELECT key_id FROM key_requests WHERE workspace_id = ? AND request_id = ?`,
		workspaceID, request.ID[:]).Scan(&used)
	if err == nil {
		return authsvc.RequestUsed(used)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("look a request up: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO key_requests (workspace_id, request_id, key_id, create_time) VALUES (?, ?, ?, ?)`,
		workspaceID, request.ID[:], keyID[:], request.Time.UnixMilli())
	if err != nil {
		return fmt.Errorf("take note of a request: %w", err)
	}
	return nil
}

// nextRevision takes the next revision; a transaction that fails gives it back.
func nextRevision(ctx context.Context, tx *sql.Tx) (authsvc.Revision, error) {
	var revision authsvc.Revision
	err := tx.QueryRowContext(ctx, `UPDATE revision SET value = value + 1 RETURNING value`).Scan(&revision)
	if err != nil {
		return 0, fmt.Errorf("next revision: %w", err)
	}
	return revision, nil
}

// replace stores the new state of a key that is there.
func replace(ctx context.Context, tx *sql.Tx, key authsvc.Key) error {
	revision, err := nextRevision(ctx, tx)
	if err != nil {
		return err
	}
	if err := updateKey(ctx, tx, revision, key); err != nil {
		return err
	}
	if err := deleteSecrets(ctx, tx, key.WorkspaceID, key.ID); err != nil {
		return err
	}
	return insertSecrets(ctx, tx, key)
}
