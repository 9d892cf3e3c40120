package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

// querier is the read pool, or a transaction of the writer.
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

// page selects the keys of a query. A filter that is NULL selects all.
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

func filter(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// Changes implements authsvc.Store. One statement reads one snapshot and does not block writers. Since revision 0 it omits
// tombstones.
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

// stream calls apply with each selected key as it comes from the database. It returns errors of apply unchanged.
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
	return authsvc.MergeRows(func(yield func(authsvc.Change, error) bool) {
		for rows.Next() {
			if !yield(scan(rows)) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(authsvc.Change{}, fmt.Errorf("read keys: %w", err))
		}
	}, apply)
}

// scan reads one row: a key with one of its secrets, or a tombstone.
func scan(rows *sql.Rows) (authsvc.Change, error) {
	var (
		c      authsvc.Change
		key    = &c.Key
		secret authsvc.Secret
		digest []byte
		last4  sql.NullString
	)
	err := rows.Scan(&key.ID, &key.WorkspaceID, &c.Revision, &c.Deleted, &key.Name, fromJSON{&key.Scopes}, &key.AllAgents,
		fromJSON{&key.AgentIDs}, &key.Disabled, fromMillis{&key.ExpireTime}, fromMillis{&key.CreateTime}, fromMillis{&key.UpdateTime},
		&key.Description, &key.ExternalID, fromJSON{&key.Metadata},
		&digest, &last4, fromMillis{&secret.CreateTime}, fromMillis{&secret.ExpireTime})
	if err != nil {
		return c, fmt.Errorf("read key: %w", err)
	}
	if c.Deleted {
		c.Key = authsvc.Key{ID: key.ID}
	}
	if digest != nil {
		secret.Digest, secret.Last4 = authsvc.Digest(digest), last4.String
		key.Secrets = []authsvc.Secret{secret}
	}
	return c, nil
}

// fromJSON scans what listColumn and metadataColumn return. Empty lists and metadata are nil.
type fromJSON struct{ to any }

// Scan implements sql.Scanner.
func (j fromJSON) Scan(value any) error {
	text, ok := value.(string)
	if ok && (text == "" || text == "[]") {
		return nil
	}
	return json.Unmarshal([]byte(text), j.to)
}

// fromMillis scans what timeColumn returns.
type fromMillis struct{ to *time.Time }

// Scan implements sql.Scanner.
func (m fromMillis) Scan(value any) error {
	var millis sql.NullInt64
	err := millis.Scan(value)
	if millis.Valid {
		*m.to = time.UnixMilli(millis.Int64).UTC()
	}
	return err
}
