package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/authsvc"
)

// Locks are taken in one order, so that no two writers wait for each other: the key's row, then the counter. Who
// holds the counter waits for nothing more.

// Create implements authsvc.Store.
func (s *Store) Create(ctx context.Context, key authsvc.Key) error {
	return s.write(ctx, func(tx pgx.Tx) error {
		revision, err := nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		var b pgx.Batch
		insertKey(&b, revision, key)
		insertSecrets(&b, revision, key)
		return send(ctx, tx, &b, key.ID)
	})
}

// Update implements authsvc.Store.
func (s *Store) Update(ctx context.Context, workspaceID string, id uuid.UUID, change func(*authsvc.Key) error) (authsvc.Key, error) {
	var stored authsvc.Key
	err := s.write(ctx, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, workspaceID, id); err != nil {
			return err
		}
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
	return s.write(ctx, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, workspaceID, id); err != nil {
			return err
		}
		revision, err := nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		var b pgx.Batch
		bury(&b, revision, workspaceID, id)
		deleteSecrets(&b, workspaceID, id)
		return send(ctx, tx, &b, id)
	})
}

// nextRevision takes the next revision and keeps everyone else from taking one until the transaction ends; one
// that fails gives it back.
func nextRevision(ctx context.Context, tx pgx.Tx) (authsvc.Revision, error) {
	var revision authsvc.Revision
	if err := tx.QueryRow(ctx, `UPDATE revision SET value = value + 1 RETURNING value`).Scan(&revision); err != nil {
		return 0, wrap(ctx, "next revision", err)
	}
	return revision, nil
}

// replace stores the new state of a key that is there and locked.
func replace(ctx context.Context, tx pgx.Tx, key authsvc.Key) error {
	revision, err := nextRevision(ctx, tx)
	if err != nil {
		return err
	}
	var b pgx.Batch
	updateKey(&b, revision, key)
	deleteSecrets(&b, key.WorkspaceID, key.ID)
	insertSecrets(&b, revision, key)
	return send(ctx, tx, &b, key.ID)
}

// send runs the statements of a change in one round trip, because the counter is held meanwhile, and wakes the
// followers of every replica when it is committed.
func send(ctx context.Context, tx pgx.Tx, b *pgx.Batch, id uuid.UUID) error {
	b.Queue(`SELECT pg_notify($1, '')`, channel)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return wrap(ctx, fmt.Sprintf("write key %s", id), err)
	}
	return nil
}
