package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/authsvc"
)

// To avoid deadlocks, writers lock the key's row first and the revision counter second. The IDs of requests are written
// under the lock of the counter.

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
		added := authsvc.Usage{Keys: 1, Bytes: key.Size()}
		if err := checkQuota(ctx, tx, key.WorkspaceID, request.Quota, added); err != nil {
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
		after, size := before, before.Size() // change may modify what both share
		if err := change(&after); err != nil {
			return err
		}
		after.ID, after.WorkspaceID, after.CreateTime = before.ID, before.WorkspaceID, before.CreateTime
		added := authsvc.Usage{Bytes: after.Size() - size}
		if err := checkQuota(ctx, tx, workspaceID, request.Quota, added); err != nil {
			return err
		}
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

// Delete implements authsvc.Store. It leaves a tombstone.
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
		tombstone(&b, revision, workspaceID, id)
		deleteSecrets(&b, workspaceID, id)
		return send(ctx, tx, &b, id)
	})
}

// claim records the ID of a request, or fails if it was used before. The caller holds the lock of the revision counter, so
// no other transaction claims one meanwhile.
func claim(ctx context.Context, tx pgx.Tx, workspaceID string, keyID uuid.UUID, request authsvc.Request) error {
	if request.ID == uuid.Nil {
		return nil
	}
	_, err := tx.Exec(ctx, `DELETE FROM key_requests WHERE workspace_id = $1 AND create_time <= $2`,
		workspaceID, request.Time.Add(-authsvc.RequestLife))
	if err != nil {
		return wrap(ctx, "delete old requests", err)
	}
	tag, err := tx.Exec(ctx, `INSERT INTO key_requests (workspace_id, request_id, key_id, create_time) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, workspaceID, request.ID, keyID, request.Time)
	if err != nil {
		return wrap(ctx, "insert a request", err)
	}
	if tag.RowsAffected() == 1 {
		return nil
	}
	var usedFor uuid.UUID
	err = tx.QueryRow(ctx, `SELECT key_id FROM key_requests WHERE workspace_id = $1 AND request_id = $2`,
		workspaceID, request.ID).Scan(&usedFor)
	if err != nil {
		return wrap(ctx, "find a request", err)
	}
	return authsvc.RequestUsed(usedFor)
}

// checkQuota fails if a quota refuses what a change adds to its workspace. It takes about 1.5 ms for 10,000 keys. The caller
// holds the lock of the revision counter, so no other transaction adds anything meanwhile.
func checkQuota(ctx context.Context, tx pgx.Tx, workspaceID string, quota authsvc.Quota, added authsvc.Usage) error {
	if !quota.Limits(added) {
		return nil
	}
	var has authsvc.Usage
	err := tx.QueryRow(ctx, `SELECT count(*), coalesce(sum(size), 0)::bigint FROM keys WHERE workspace_id = $1 AND NOT deleted`,
		workspaceID).Scan(&has.Keys, &has.Bytes)
	if err != nil {
		return wrap(ctx, "sum up the keys of the workspace", err)
	}
	return quota.Check(has, added)
}

// nextRevision takes the next revision, with a new mark. It locks the counter until the transaction ends; a rollback returns
// the revision.
func nextRevision(ctx context.Context, tx pgx.Tx) (authsvc.Revision, error) {
	var revision authsvc.Revision
	err := tx.QueryRow(ctx, `WITH next AS (UPDATE revision SET value = value + 1 RETURNING value)
		INSERT INTO history (revision) SELECT value FROM next RETURNING revision`).Scan(&revision)
	if err != nil {
		return 0, wrap(ctx, "next revision", err)
	}
	return revision, nil
}

// replace stores the new state of an existing key, which the caller has locked.
func replace(ctx context.Context, tx pgx.Tx, revision authsvc.Revision, key authsvc.Key) error {
	var b pgx.Batch
	updateKey(&b, revision, key)
	deleteSecrets(&b, key.WorkspaceID, key.ID)
	insertSecrets(&b, revision, key)
	return send(ctx, tx, &b, key.ID)
}

// send runs the statements of a change in one round trip, because the counter is locked meanwhile, and notifies every
// replica at the commit.
func send(ctx context.Context, tx pgx.Tx, b *pgx.Batch, id uuid.UUID) error {
	forget(b)
	b.Queue(`SELECT pg_notify($1, '')`, channel)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return wrap(ctx, fmt.Sprintf("write key %s", id), err)
	}
	return nil
}

// forgetAtOnce bounds what a change forgets, because other writers wait meanwhile. It is more than a change adds, so that a
// backlog shrinks.
const forgetAtOnce = 100

// forget removes old positions, and tombstones that no reader of a position needs. The newest position before HistoryLife
// stays: replicas may have been there until the next change.
func forget(b *pgx.Batch) {
	b.Queue(`DELETE FROM history WHERE revision IN (SELECT revision FROM history
			WHERE revision < (SELECT revision FROM history WHERE time < clock_timestamp() - $1::interval ORDER BY time DESC LIMIT 1)
			ORDER BY revision LIMIT $2)`, authsvc.HistoryLife, forgetAtOnce)
	b.Queue(`DELETE FROM keys WHERE (workspace_id, id) IN (SELECT workspace_id, id FROM keys
			WHERE deleted AND revision <= (SELECT min(revision) FROM history) ORDER BY revision LIMIT $1)`, forgetAtOnce)
}

func insertKey(b *pgx.Batch, revision authsvc.Revision, key authsvc.Key) {
	b.Queue(`INSERT INTO keys (workspace_id, id, revision, name, scopes, all_agents, agent_ids, disabled,
			expire_time, create_time, update_time, name_lower, description, external_id, metadata, size)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`, columns(revision, key)...)
}

func updateKey(b *pgx.Batch, revision authsvc.Revision, key authsvc.Key) {
	b.Queue(`UPDATE keys SET revision = $3, name = $4, scopes = $5, all_agents = $6, agent_ids = $7, disabled = $8,
			expire_time = $9, create_time = $10, update_time = $11, name_lower = $12, description = $13, external_id = $14,
			metadata = $15, size = $16
		WHERE workspace_id = $1 AND id = $2`, columns(revision, key)...)
}

// tombstone replaces an existing key by a tombstone.
func tombstone(b *pgx.Batch, revision authsvc.Revision, workspaceID string, id uuid.UUID) {
	b.Queue(`UPDATE keys SET revision = $3, deleted = true, name = '', scopes = '{}', all_agents = false,
			agent_ids = '{}', disabled = false, expire_time = NULL, create_time = NULL, update_time = NULL, name_lower = '',
			description = '', external_id = '', metadata = '', size = 0
		WHERE workspace_id = $1 AND id = $2`, workspaceID, id, revision)
}

func deleteSecrets(b *pgx.Batch, workspaceID string, id uuid.UUID) {
	b.Queue(`DELETE FROM secrets WHERE workspace_id = $1 AND key_id = $2`, workspaceID, id)
}

func insertSecrets(b *pgx.Batch, revision authsvc.Revision, key authsvc.Key) {
	for position, secret := range key.Secrets {
		b.Queue(`INSERT INTO secrets (workspace_id, key_id, revision, position, digest, last4, create_time, expire_time)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, key.WorkspaceID, key.ID, revision, position, secret.Digest[:],
			secret.Last4, timeColumn(secret.CreateTime), timeColumn(secret.ExpireTime))
	}
}

// columns returns the values of a key's row, in the order of insertKey and updateKey.
func columns(revision authsvc.Revision, key authsvc.Key) []any {
	if key.AllAgents {
		key.AgentIDs = nil
	}
	return []any{
		key.WorkspaceID, key.ID, revision, key.Name, listColumn(key.Scopes), key.AllAgents, listColumn(key.AgentIDs), key.Disabled,
		timeColumn(key.ExpireTime), timeColumn(key.CreateTime), timeColumn(key.UpdateTime),
		strings.ToLower(key.Name), key.Description, key.ExternalID, metadataColumn(key.Metadata), key.Size(),
	}
}

// metadataColumn returns a JSON object; empty for no metadata.
func metadataColumn(metadata map[string]string) string {
	if len(metadata) == 0 {
		return ""
	}
	text, _ := json.Marshal(metadata) // cannot fail
	return string(text)
}

// listColumn returns a list that is not nil, because nil would be NULL.
func listColumn(list []string) []string { return append([]string{}, list...) }

// timeColumn returns a time with the precision of keys; NULL for the zero time.
func timeColumn(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t.Truncate(time.Millisecond), Valid: !t.IsZero()}
}
