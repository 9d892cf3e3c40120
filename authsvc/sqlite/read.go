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
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
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

// onePage reads the keys of a query, with a column more: how many keys the query selects, up to one more than its limit. It
// adds their sizes up before it reads the allowlists of those that fit: CROSS JOIN keeps SQLite from reading all keys first.
// A filter that is NULL selects all.
const onePage = `WITH selected AS (SELECT id, size FROM keys WHERE workspace_id = ?1 AND id < ?2 AND deleted = 0
	AND (?4 IS NULL OR instr(name_lower, ?4) > 0 OR EXISTS (SELECT 1 FROM secrets s
		WHERE s.workspace_id = ?1 AND s.key_id = keys.id AND lower(s.last4) = ?4))
	AND (?5 IS NULL OR external_id = ?5)
	AND (?6 IS NULL OR ?6 = CASE WHEN disabled THEN 'disabled' WHEN expire_time <= ?7 THEN 'expired' ELSE 'enabled' END)
	ORDER BY id DESC LIMIT ?3 + 1),
counted AS (SELECT id, row_number() OVER newest AS number, sum(size) OVER newest AS bytes, count(*) OVER () AS found
	FROM selected WINDOW newest AS (ORDER BY id DESC))
` + columnsOfKeys + `NULL, last4, secrets.create_time, secrets.expire_time, found
FROM (SELECT keys.*, found FROM counted CROSS JOIN keys USING (id)
	WHERE workspace_id = ?1 AND (number = 1 OR number <= ?3 AND (?8 = 0 OR bytes <= ?8)))` + withSecrets + `
ORDER BY id DESC, position`

// List implements authsvc.Store.
func (s *Store) List(ctx context.Context, query authsvc.KeyQuery) (keys []authsvc.Key, more bool, err error) {
	if query.Before == uuid.Nil {
		query.Before = uuid.Max
	}
	rows, err := s.db.Read.QueryContext(ctx, onePage, query.WorkspaceID, query.Before[:], query.Limit, filter(strings.ToLower(query.Text)),
		filter(query.ExternalID), filter(string(query.State)), query.Now.UnixMilli(), query.Bytes)
	if err != nil {
		return nil, false, fmt.Errorf("list keys: %w", err)
	}
	found := 0
	if err := merge(rows, appendTo(&keys), &found); err != nil {
		return nil, false, fmt.Errorf("list keys: %w", err)
	}
	return keys, found > len(keys), nil
}

func filter(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// Newest implements authsvc.Store.
func (s *Store) Newest(ctx context.Context, since authsvc.Position) (newest authsvc.Position, follows bool, err error) {
	return newestPosition(ctx, s.db.Read, since)
}

func newestPosition(ctx context.Context, q querier, since authsvc.Position) (newest authsvc.Position, follows bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT revision, mark, EXISTS (SELECT 1 FROM history WHERE revision = ? AND mark = ?)
		FROM history ORDER BY revision DESC LIMIT 1`, since.Revision, since.Mark[:]).Scan(&newest.Revision, &newest.Mark, &follows)
	if err != nil {
		return authsvc.Position{}, false, fmt.Errorf("newest position: %w", err)
	}
	return newest, follows, nil
}

// Changes implements authsvc.Store. One statement reads one snapshot and does not block writers. Since revision 0 it omits
// tombstones.
func (s *Store) Changes(ctx context.Context, since authsvc.Revision, apply func(authsvc.Change) error) error {
	return changes(ctx, s.db.Read, since, apply)
}

func changes(ctx context.Context, q querier, since authsvc.Revision, apply func(authsvc.Change) error) error {
	return stream(ctx, q, `SELECT * FROM keys WHERE revision > ?1 AND (deleted = 0 OR ?1 > 0)`, "revision, position", apply, since)
}

// ChangesSince implements authsvc.Store. The transaction reads one snapshot and does not block writers.
func (s *Store) ChangesSince(ctx context.Context, since authsvc.Position, apply func(authsvc.Change) error) (newest authsvc.Position, follows bool, err error) {
	tx, err := s.db.Read.BeginTx(ctx, nil)
	if err != nil {
		return authsvc.Position{}, false, fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // there is nothing to commit
	newest, follows, err = newestPosition(ctx, tx, since)
	if err != nil || !follows && since != (authsvc.Position{}) {
		return newest, follows, err
	}
	return newest, follows, changes(ctx, tx, since.Revision, apply)
}

func collect(ctx context.Context, q querier, selection, order string, args ...any) ([]authsvc.Key, error) {
	var keys []authsvc.Key
	err := stream(ctx, q, selection, order, appendTo(&keys), args...)
	return keys, err
}

func appendTo(keys *[]authsvc.Key) func(authsvc.Change) error {
	return func(c authsvc.Change) error {
		*keys = append(*keys, c.Key)
		return nil
	}
}

// The columns that scan expects; those of the secrets follow. The allowlist, which can be long, is in the first row of a key
// only.
const (
	columnsOfKeys = `SELECT id, keys.workspace_id, revision, deleted, name, scopes, all_agents,
		CASE WHEN position > 0 THEN '[]' ELSE agent_ids END AS agent_ids, disabled, keys.expire_time, keys.create_time, update_time, description, external_id, metadata, `
	withSecrets = ` AS keys LEFT JOIN secrets ON secrets.workspace_id = keys.workspace_id AND secrets.key_id = keys.id `
)

// stream calls apply with each selected key as it comes from the database. It returns errors of apply unchanged.
func stream(ctx context.Context, q querier, selection, order string, apply func(authsvc.Change) error, args ...any) error {
	rows, err := q.QueryContext(ctx, columnsOfKeys+`digest, last4, secrets.create_time, secrets.expire_time
		FROM (`+selection+`)`+withSecrets+`ORDER BY `+order, args...)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	return merge(rows, apply)
}

// merge calls apply with each key of the rows and closes them. others are where the columns after those of the key go.
func merge(rows *sql.Rows, apply func(authsvc.Change) error, others ...any) error {
	defer rows.Close()
	return authsvc.MergeRows(func(yield func(authsvc.Change, error) bool) {
		for rows.Next() {
			if !yield(scan(rows, others...)) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(authsvc.Change{}, fmt.Errorf("read keys: %w", err))
		}
	}, apply)
}

// scan reads one row: a key with one of its secrets, or a tombstone.
func scan(rows *sql.Rows, others ...any) (authsvc.Change, error) {
	var (
		c      authsvc.Change
		key    = &c.Key
		secret authsvc.Secret
		digest []byte
		last4  sql.NullString
	)
	targets := []any{&key.ID, &key.WorkspaceID, &c.Revision, &c.Deleted, &key.Name, fromJSON{&key.Scopes}, &key.AllAgents,
		fromJSON{&key.AgentIDs}, &key.Disabled, fromMillis{&key.ExpireTime}, fromMillis{&key.CreateTime}, fromMillis{&key.UpdateTime},
		&key.Description, &key.ExternalID, fromJSON{&key.Metadata},
		&digest, &last4, fromMillis{&secret.CreateTime}, fromMillis{&secret.ExpireTime}}
	err := rows.Scan(append(targets, others...)...)
	if err != nil {
		return c, fmt.Errorf("read key: %w", err)
	}
	if c.Deleted {
		c.Key = authsvc.Key{ID: key.ID}
	}
	if digest != nil {
		secret.Digest = authsvc.Digest(digest)
	}
	if last4.Valid {
		secret.Last4 = last4.String
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
