package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

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

// page selects the rows of a query. Filters are NULL where they select everything.
const page = `SELECT * FROM keys WHERE workspace_id = ?1 AND id < ?2 AND deleted = 0
	AND (?4 IS NULL OR instr(name_lower, ?4) > 0 OR EXISTS (SELECT 1 FROM secrets s
		WHERE s.workspace_id = ?1 AND s.key_id = keys.id AND lower(s.last4) = ?4))
	AND (?5 IS NULL OR external_id = ?5)
	AND (?6 IS NULL OR ?6 = CASE WHEN disabled THEN 'disabled' WHEN expire_time <= ?7 THEN 'expired' ELSE 'enabled' END)
	ORDER BY id DESC LIMIT ?3`

// List implements authsvc.Store.
func (s *Store) List(ctx context.Context, query authsvc.KeyQuery) ([]authsvc.Key, error) {
	if query.Before == uuid.Nil {
		query.Before = uuid.Max
	}
	keys, err := collect(ctx, s.db.Read, page, "id DESC, position", query.WorkspaceID, query.Before[:], query.Limit,
		filter(strings.ToLower(query.Text)), filter(query.ExternalID), filter(string(query.State)), query.Now.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// filter is NULL where it selects everything.
func filter(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

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
			disabled, keys.expire_time, keys.create_time, update_time, description, external_id, metadata,
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
