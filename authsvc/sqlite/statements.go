package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

func insertKey(ctx context.Context, tx *sql.Tx, revision authsvc.Revision, key authsvc.Key) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO keys
		(revision, name, scopes, all_agents, agent_ids, disabled, expire_time, create_time, update_time,
		 name_lower, description, external_id, metadata, workspace_id, id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, columns(revision, key)...)
	if err != nil {
		return fmt.Errorf("insert key %s: %w", key.ID, err)
	}
	return nil
}

func updateKey(ctx context.Context, tx *sql.Tx, revision authsvc.Revision, key authsvc.Key) error {
	_, err := tx.ExecContext(ctx, `UPDATE keys
		SET revision = ?, name = ?, scopes = ?, all_agents = ?, agent_ids = ?, disabled = ?,
		    expire_time = ?, create_time = ?, update_time = ?, name_lower = ?, description = ?, external_id = ?, metadata = ?
		WHERE workspace_id = ? AND id = ?`, columns(revision, key)...)
	if err != nil {
		return fmt.Errorf("update key %s: %w", key.ID, err)
	}
	return nil
}

// bury makes a tombstone of a key that is there.
func bury(ctx context.Context, tx *sql.Tx, revision authsvc.Revision, workspaceID string, id uuid.UUID) error {
	result, err := tx.ExecContext(ctx, `UPDATE keys
		SET revision = ?, deleted = 1, name = '', scopes = '[]', all_agents = 0, agent_ids = '[]', disabled = 0,
		    expire_time = NULL, create_time = NULL, update_time = NULL,
		    name_lower = '', description = '', external_id = '', metadata = ''
		WHERE workspace_id = ? AND id = ? AND deleted = 0`, revision, workspaceID, id[:])
	if err != nil {
		return fmt.Errorf("delete key %s: %w", id, err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("delete key %s: %w", id, err)
	} else if n == 0 {
		return authsvc.ErrNotFound
	}
	return nil
}

func insertSecrets(ctx context.Context, tx *sql.Tx, key authsvc.Key) error {
	for position, secret := range key.Secrets {
		_, err := tx.ExecContext(ctx, `INSERT INTO secrets
			(workspace_id, key_id, position, digest, last4, create_time, expire_time) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			key.WorkspaceID, key.ID[:], position, secret.Digest[:], secret.Last4,
			millis(secret.CreateTime), millis(secret.ExpireTime))
		if err != nil {
			return fmt.Errorf("insert secret %d of key %s: %w", position, key.ID, err)
		}
	}
	return nil
}

func deleteSecrets(ctx context.Context, tx *sql.Tx, workspaceID string, id uuid.UUID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM secrets WHERE workspace_id = ? AND key_id = ?`, workspaceID, id[:])
	if err != nil {
		return fmt.Errorf("delete the secrets of key %s: %w", id, err)
	}
	return nil
}
