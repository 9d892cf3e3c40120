package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/authsvc"
)

// The queries return a row for each secret of a key, with the columns that a reader expects. A tombstone has one row, whose
// columns of the secret are NULL. The allowlist, which can be long, is in the first row of a key only.
const (
	columnsOfKeys = `SELECT id, keys.workspace_id, keys.revision, deleted, name, scopes, all_agents,
			CASE WHEN position > 0 THEN '{}' ELSE agent_ids END AS agent_ids,
			disabled, keys.expire_time, keys.create_time, update_time, description, external_id, metadata, `
	columnsOfSecrets = `digest, last4, secrets.create_time, secrets.expire_time `
	withSecrets      = ` AS keys LEFT JOIN secrets ON secrets.workspace_id = keys.workspace_id AND secrets.key_id = keys.id `

	oneKey = columnsOfKeys + columnsOfSecrets + `FROM (SELECT * FROM keys WHERE workspace_id = $1 AND id = $2 AND NOT deleted)` +
		withSecrets + `ORDER BY position`

	// onePage has another column: how many keys the query selects, up to one more than its limit. It adds their sizes up
	// before it reads the allowlists of those that fit. A filter that is NULL selects all. $7 is the time of the state.
	onePage = `WITH selected AS (SELECT id, size FROM keys WHERE workspace_id = $1 AND id < $2 AND NOT deleted
			AND ($4::text IS NULL OR strpos(name_lower, $4) > 0 OR EXISTS (SELECT FROM secrets s
				WHERE s.workspace_id = $1 AND s.key_id = keys.id AND lower(s.last4) = $4))
			AND ($5::text IS NULL OR external_id = $5)
			AND ($6::text IS NULL OR $6 = CASE WHEN disabled THEN 'disabled' WHEN expire_time <= $7 THEN 'expired' ELSE 'enabled' END)
			ORDER BY id DESC LIMIT $3 + 1),
		counted AS (SELECT id, row_number() OVER newest AS number, sum(size) OVER newest AS bytes, count(*) OVER () AS found
			FROM selected WINDOW newest AS (ORDER BY id DESC)) ` +
		columnsOfKeys + `NULL::bytea, last4, secrets.create_time, secrets.expire_time, found
		FROM (SELECT keys.*, found FROM counted JOIN keys USING (id)
			WHERE workspace_id = $1 AND (number = 1 OR number <= $3 AND ($8 = 0::bigint OR bytes <= $8)))` +
		withSecrets + `ORDER BY id DESC, position`

	// Since revision 0 this omits tombstones. It reads both tables in the order of their indexes on the revision: for a
	// million keys that is a merge join without a sort, half the work of a hash join with one, and for a few keys it is
	// cheap whatever the planner's statistics are.
	changed = columnsOfKeys + columnsOfSecrets + `FROM (SELECT * FROM keys WHERE revision > $1 AND (NOT deleted OR $1 > 0))` +
		withSecrets + `AND secrets.revision = keys.revision AND secrets.revision > $1
		ORDER BY keys.revision, position`
)

// querier is the pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

// Get implements authsvc.Store.
func (s *Store) Get(ctx context.Context, workspaceID string, id uuid.UUID) (authsvc.Key, error) {
	return get(ctx, s.pool, workspaceID, id)
}

func get(ctx context.Context, q querier, workspaceID string, id uuid.UUID) (authsvc.Key, error) {
	keys, err := collect(ctx, q, oneKey, workspaceID, id)
	if err != nil {
		return authsvc.Key{}, fmt.Errorf("get key %s: %w", id, err)
	}
	if len(keys) == 0 {
		return authsvc.Key{}, authsvc.ErrNotFound
	}
	return keys[0], nil
}

// List implements authsvc.Store.
func (s *Store) List(ctx context.Context, query authsvc.KeyQuery) (keys []authsvc.Key, more bool, err error) {
	if query.Before == uuid.Nil {
		query.Before = uuid.Max
	}
	rows, err := s.pool.Query(ctx, onePage, query.WorkspaceID, query.Before, query.Limit,
		filter(strings.ToLower(query.Text)), filter(query.ExternalID), filter(string(query.State)), query.Now, query.Bytes)
	if err != nil {
		return nil, false, wrap(ctx, "list keys", err)
	}
	found := 0
	if err := merge(ctx, rows, appendTo(&keys), &found); err != nil {
		return nil, false, fmt.Errorf("list keys: %w", err)
	}
	return keys, found > len(keys), nil
}

func filter(text string) pgtype.Text { return pgtype.Text{String: text, Valid: text != ""} }

// Newest implements authsvc.Store.
func (s *Store) Newest(ctx context.Context, since authsvc.Position) (newest authsvc.Position, follows bool, err error) {
	return newestPosition(ctx, s.pool, since)
}

func newestPosition(ctx context.Context, q querier, since authsvc.Position) (newest authsvc.Position, follows bool, err error) {
	err = q.QueryRow(ctx, `SELECT revision, mark, EXISTS (SELECT FROM history WHERE revision = $1 AND mark = $2)
		FROM history ORDER BY revision DESC LIMIT 1`, since.Revision, since.Mark).Scan(&newest.Revision, &newest.Mark, &follows)
	if err != nil {
		return authsvc.Position{}, false, wrap(ctx, "newest position", err)
	}
	return newest, follows, nil
}

// Changes implements authsvc.Store. One statement reads one snapshot and does not block writers. It is planned anew each
// time, because the number of keys varies widely.
func (s *Store) Changes(ctx context.Context, since authsvc.Revision, apply func(authsvc.Change) error) error {
	return changes(ctx, s.pool, since, apply)
}

func changes(ctx context.Context, q querier, since authsvc.Revision, apply func(authsvc.Change) error) error {
	return stream(ctx, q, changed, apply, pgx.QueryExecModeCacheDescribe, since)
}

// ChangesSince implements authsvc.Store. The transaction reads one snapshot of one server and does not block writers.
func (s *Store) ChangesSince(ctx context.Context, since authsvc.Position, apply func(authsvc.Change) error) (newest authsvc.Position, follows bool, err error) {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return authsvc.Position{}, false, wrap(ctx, "begin", err)
	}
	defer tx.Rollback(ctx) // there is nothing to commit; if ctx has ended, this closes the connection
	newest, follows, err = newestPosition(ctx, tx, since)
	if err != nil || !follows && since != (authsvc.Position{}) {
		return newest, follows, err
	}
	return newest, follows, changes(ctx, tx, since.Revision, apply)
}

func collect(ctx context.Context, q querier, query string, args ...any) ([]authsvc.Key, error) {
	var keys []authsvc.Key
	err := stream(ctx, q, query, appendTo(&keys), args...)
	return keys, err
}

func appendTo(keys *[]authsvc.Key) func(authsvc.Change) error {
	return func(c authsvc.Change) error {
		*keys = append(*keys, c.Key)
		return nil
	}
}

// stream calls apply with each key as it comes from the database. It returns errors of apply unchanged.
func stream(ctx context.Context, q querier, query string, apply func(authsvc.Change) error, args ...any) error {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return wrap(ctx, "read keys", err)
	}
	return merge(ctx, rows, apply)
}

// merge calls apply with each key of the rows and closes them. others are where the columns after those of the key go.
func merge(ctx context.Context, rows pgx.Rows, apply func(authsvc.Change) error, others ...any) error {
	defer rows.Close()
	r := newReader(rows, others...)
	return authsvc.MergeRows(func(yield func(authsvc.Change, error) bool) {
		for rows.Next() {
			row, err := r.read()
			if err != nil {
				err = wrap(ctx, "read key", err)
			}
			if !yield(row, err) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(authsvc.Change{}, wrap(ctx, "read keys", err))
		}
	}, apply)
}

// lock locks a key until the transaction ends. The caller must read the key afterwards: a statement that had to wait for
// the lock would see the new fields of the key with its old secrets.
func lock(ctx context.Context, tx pgx.Tx, workspaceID string, id uuid.UUID) error {
	err := tx.QueryRow(ctx, `SELECT FROM keys WHERE workspace_id = $1 AND id = $2 AND NOT deleted FOR UPDATE`,
		workspaceID, id).Scan()
	if errors.Is(err, pgx.ErrNoRows) {
		return authsvc.ErrNotFound
	}
	if err != nil {
		return wrap(ctx, fmt.Sprintf("lock key %s", id), err)
	}
	return nil
}

// reader scans rows: each is a key with one of its secrets, or a tombstone. Its fields are those of the current row. It
// scans a million rows when a replica starts, so it reuses its buffers and parses equal scopes once.
type reader struct {
	rows                        pgx.Rows
	targets                     []any
	scopes                      map[string][]string // by their encoding
	id                          pgtype.UUID
	revision                    authsvc.Revision
	deleted                     bool
	key                         authsvc.Key
	expire, create, update      pgtype.Timestamptz
	metadata                    pgtype.DriverBytes // valid until the next row
	digest                      pgtype.DriverBytes // valid until the next row
	last4                       pgtype.Text
	secretCreate, secretExpires pgtype.Timestamptz
}

// Indexes of the columns that are lists.
const (
	scopesColumn   = 5
	agentIDsColumn = 7
)

func newReader(rows pgx.Rows, others ...any) *reader {
	r := &reader{rows: rows, scopes: map[string][]string{}}
	r.targets = append([]any{&r.id, &r.key.WorkspaceID, &r.revision, &r.deleted, &r.key.Name, nil, &r.key.AllAgents, nil,
		&r.key.Disabled, &r.expire, &r.create, &r.update, &r.key.Description, &r.key.ExternalID, &r.metadata, &r.digest, &r.last4, &r.secretCreate, &r.secretExpires}, others...)
	return r
}

// read returns the current row.
func (r *reader) read() (authsvc.Change, error) {
	if err := r.rows.Scan(r.targets...); err != nil {
		return authsvc.Change{}, err
	}
	key := r.key
	key.ID = r.id.Bytes
	if r.deleted {
		return authsvc.Change{Revision: r.revision, Deleted: true, Key: authsvc.Key{ID: key.ID}}, nil
	}
	var scopesErr, agentsErr, metadataErr error
	key.Scopes, scopesErr = r.readScopes()
	key.AgentIDs, agentsErr = r.list(agentIDsColumn)
	if len(r.metadata) > 0 {
		metadataErr = json.Unmarshal(r.metadata, &key.Metadata)
	}
	key.ExpireTime, key.CreateTime, key.UpdateTime = timeOf(r.expire), timeOf(r.create), timeOf(r.update)
	if r.last4.Valid {
		secret := authsvc.Secret{Last4: r.last4.String, CreateTime: timeOf(r.secretCreate), ExpireTime: timeOf(r.secretExpires)}
		if r.digest != nil {
			secret.Digest = authsvc.Digest(r.digest)
		}
		key.Secrets = []authsvc.Secret{secret}
	}
	return authsvc.Change{Revision: r.revision, Key: key}, errors.Join(scopesErr, agentsErr, metadataErr)
}

// maxScopes bounds how many different scopes a reader remembers.
const maxScopes = 1000

// readScopes returns a copy of the scopes.
func (r *reader) readScopes() ([]string, error) {
	raw := r.rows.RawValues()[scopesColumn]
	list, known := r.scopes[string(raw)]
	if !known {
		var err error
		if list, err = r.list(scopesColumn); err != nil {
			return nil, err
		}
		if len(r.scopes) == maxScopes {
			clear(r.scopes)
		}
		r.scopes[string(raw)] = list
	}
	return slices.Clone(list), nil
}

// list returns a list; nil if it is empty. Allowlists are not remembered: they differ, and take most of the memory.
func (r *reader) list(column int) (list []string, err error) {
	field := r.rows.FieldDescriptions()[column]
	if err := r.rows.Conn().TypeMap().Scan(field.DataTypeOID, field.Format, r.rows.RawValues()[column], &list); err != nil {
		return nil, fmt.Errorf("%s: %w", field.Name, err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list, nil
}

// timeOf returns the zero time for NULL.
func timeOf(column pgtype.Timestamptz) time.Time {
	if !column.Valid {
		return time.Time{}
	}
	return column.Time.UTC()
}
