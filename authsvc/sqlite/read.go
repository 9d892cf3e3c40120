package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

// querier is where a read runs: the read side, or a transaction on the write side.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Get implements authsvc.Store.
func (s *Store) Get(ctx context.Context, workspaceID string, id uuid.UUID) (authsvc.Key, error) {
	return get(ctx, s.db.Read, workspaceID, id)
}

func get(ctx context.Context, q querier, workspaceID string, id uuid.UUID) (authsvc.Key, error) {
	keys, err := collect(ctx, q, `SELECT * FROM keys WHERE workspace_id = ? AND id = ? AND deleted = 0`, "position",
		workspaceID, id[:])
	if err != nil {
		return authsvc.Key{}, fmt.Errorf("get key %s: %w", id, err)
	}
	if len(keys) == 0 {
		return authsvc.Key{}, authsvc.ErrNotFound
	}
	return keys[0], nil
}

// List implements authsvc.Store.
func (s *Store) List(ctx context.Context, workspaceID string, before uuid.UUID, limit int) ([]authsvc.Key, error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	keys, err := collect(ctx, s.db.Read, `SELECT * FROM keys WHERE workspace_id = ? AND id < ? AND deleted = 0
		ORDER BY id DESC LIMIT ?`, "id DESC, position", workspaceID, before[:], limit)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// Changes implements authsvc.Store. One statement reads one snapshot, beside any writer. A follower that knows
// nothing needs no tombstones.
func (s *Store) Changes(ctx context.Context, since authsvc.Revision, apply func(authsvc.Change) error) error {
	return stream(ctx, s.db.Read, `SELECT * FROM keys WHERE revision > ?1 AND (deleted = 0 OR ?1 > 0)`,
		"revision, position", apply, since)
}

func collect(ctx context.Context, q querier, selection, order string, args ...any) ([]authsvc.Key, error) {
	var keys []authsvc.Key
	err := stream(ctx, q, selection, order, func(c authsvc.Change) error {
		keys = append(keys, c.Key)
		return nil
	}, args...)
	return keys, err
}

// stream gives each selected key to apply, with its secrets, as it comes from the database. An error of apply
// comes back as it is.
func stream(ctx context.Context, q querier, selection, order string, apply func(authsvc.Change) error, args ...any) error {
	rows, err := q.QueryContext(ctx, `SELECT id, keys.workspace_id, revision, deleted, name, scopes, all_agents, agent_ids,
			disabled, keys.expire_time, keys.create_time, update_time,
			digest, last4, secrets.create_time, secrets.expire_time
		FROM (`+selection+`) AS keys
		LEFT JOIN secrets ON secrets.workspace_id = keys.workspace_id AND secrets.key_id = keys.id
		ORDER BY `+order, args...)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	defer rows.Close()
	return fold(rows, apply)
}
