package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

// Create implements authsvc.Store.
func (s *Store) Create(ctx context.Context, key authsvc.Key) error {
	return s.write(ctx, func(tx *sql.Tx) error {
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
func (s *Store) Update(ctx context.Context, workspaceID string, id uuid.UUID, change func(*authsvc.Key) error) (authsvc.Key, error) {
	var stored authsvc.Key
	err := s.write(ctx, func(tx *sql.Tx) error {
		before, err := get(ctx, tx, workspaceID, id)
		if err != nil {
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
func (s *Store) Delete(ctx context.Context, workspaceID string, id uuid.UUID) error {
	return s.write(ctx, func(tx *sql.Tx) error {
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
