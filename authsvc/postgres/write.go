package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/authsvc"
)

// Locks are taken in one order, so that no two writers wait for each other: the key's row, then the counter. Who
// holds the counter waits for nothing more: the ids of requests are written under it.

// Create implements authsvc.Store.
func (s *Store) Create(ctx context.Context, key authsvc.Key, request authsvc.Request) error {
	return s.write(ctx, func(tx pgx.Tx) error {
		revision, err := nextRevision(ctx, tx)
		if err != nil {
			return err
		}
		if err := claim(ctx, tx, key.WorkspaceID, key.ID, request); err != nil {
			return err
		}
		var b pgx.Batch
		insertKey(&b, revision, key)
		insertSecrets(&b, revision, key)
		return send(ctx, tx, &b, key.ID)
	})
}

// Update implements authsvc.Store.
func (s *Store) Update(ctx context.Context, workspaceID string, id uuid.UUID, request authsvc.Request, change func(*authsvc.Key) error) (authsvc.Key, error) {
	var stored authsvc.Key
	err := s.write(ctx, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, workspaceID, id); err != nil {
			return err
		}
		before, err := get(ctx, tx, workspaceID, id)
		if err != nil {
			return err
		}
		revision, err := nextRevision(ctx, tx)
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
		if err := replace(ctx, tx, revision, after); err != nil {
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
	return s.write(ctx, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, workspaceID, id); err != nil {
			return err
		}
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
		var b pgx.Batch
		bury(&b, revision, workspaceID, id)
		deleteSecrets(&b, workspaceID, id)
		return send(ctx, tx, &b, id)
	})
}

// claim takes note of a request, or fails where it was carried out before. The caller holds the counter, so nobody else
// claims one meanwhile.
func claim(ctx context.Context, tx pgx.Tx, workspaceID string, keyID uuid.UUID, request authsvc.Request) error {
	if request.ID == uuid.Nil {
		return nil
	}
	_, err := tx.Exec(ctx, `DELETE FROM key_requests WHERE workspace_id = $1 AND create_time <= $2`,
		workspaceID, request.Time.Add(-authsvc.RequestLife))
	if err != nil {
		return wrap(ctx, "forget old requests", err)
	}
	tag, err := tx.Exec(ctx, `INSERT INTO key_requests (workspace_id, request_id, key_id, create_time) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, workspaceID, request.ID, keyID, request.Time)
	if err != nil {
		return wrap(ctx, "take note of a request", err)
	}
	if tag.RowsAffected() == 1 {
		return nil
	}
	var used uuid.UUID
	err = tx.QueryRow(ctx, `SELECT key_id FROM key_requests WHERE workspace_id = $1 AND request_id = $2`,
		workspaceID, request.ID).Scan(&used)
	if err != nil {
		return wrap(ctx, "find what a request was for", err)
	}
	return authsvc.RequestUsed(used)
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
func replace(ctx context.Context, tx pgx.Tx, revision authsvc.Revision, key authsvc.Key) error {
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
