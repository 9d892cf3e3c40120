package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/keytrail/keytrail/authsvc"
)

// The queries answer a row for each secret of a key, in the columns of a reader. A tombstone and a key without
// secrets have one row with nothing in those.
const (
	columnsOfKeys = `SELECT id, keys.workspace_id, keys.revision, deleted, name, scopes, all_agents, agent_ids,
			disabled, keys.expire_time, keys.create_time, update_time, description, external_id, metadata,
			digest, last4, secrets.create_time, secrets.expire_time `
	withSecrets = ` AS keys LEFT JOIN secrets ON secrets.workspace_id = keys.workspace_id AND secrets.key_id = keys.id `

	oneKey = columnsOfKeys + `FROM (SELECT * FROM keys WHERE workspace_id = $1 AND id = $2 AND NOT deleted)` +
		withSecrets + `ORDER BY position`

	// Filters are NULL where they select everything. The state is that of $7.
	onePage = columnsOfKeys + `FROM (SELECT * FROM keys WHERE workspace_id = $1 AND id < $2 AND NOT deleted
			AND ($4::text IS NULL OR strpos(name_lower, $4) > 0 OR EXISTS (SELECT FROM secrets s
				WHERE s.workspace_id = $1 AND s.key_id = keys.id AND lower(s.last4) = $4))
			AND ($5::text IS NULL OR external_id = $5)
			AND ($6::text IS NULL OR $6 = CASE WHEN disabled THEN 'disabled' WHEN expire_time <= $7 THEN 'expired' ELSE 'enabled' END)
			ORDER BY id DESC LIMIT $3)` +
		withSecrets + `ORDER BY id DESC, position`

	// A follower that knows nothing needs no tombstones. Both tables are read in the order of their indexes on the
	// revision, from $1 on: for a million keys that is a merge without a sort, half of the work of a hash join with
	// one, and for a few keys it is cheap whatever the planner believes about the tables.
	changed = columnsOfKeys + `FROM (SELECT * FROM keys WHERE revision > $1 AND (NOT deleted OR $1 > 0))` +
		withSecrets + `AND secrets.revision = keys.revision AND secrets.revision > $1
		ORDER BY keys.revision, position`
)

// querier is where a read runs: the pool, or a transaction.
type querier interface {
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
func (s *Store) List(ctx context.Context, query authsvc.KeyQuery) ([]authsvc.Key, error) {
	if query.Before == uuid.Nil {
		query.Before = uuid.Max
	}
	keys, err := collect(ctx, s.pool, onePage, query.WorkspaceID, query.Before, query.Limit,
		filter(strings.ToLower(query.Text)), filter(query.ExternalID), filter(string(query.State)), query.Now)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// filter is NULL where it selects everything.
func filter(text string) pgtype.Text { return pgtype.Text{String: text, Valid: text != ""} }

// Changes implements authsvc.Store. Followers poll far more often than something changes, so the counter is asked
// first. Then one statement reads one snapshot, beside any writer. It is planned anew each time, for the number of
// keys that it is about.
func (s *Store) Changes(ctx context.Context, since authsvc.Revision, apply func(authsvc.Change) error) error {
	var newest authsvc.Revision
	if err := s.pool.QueryRow(ctx, `SELECT value FROM revision`).Scan(&newest); err != nil {
		return wrap(ctx, "newest revision", err)
	}
	if newest <= since {
		return nil
	}
	return stream(ctx, s.pool, changed, apply, pgx.QueryExecModeCacheDescribe, since)
}

func collect(ctx context.Context, q querier, query string, args ...any) ([]authsvc.Key, error) {
	var keys []authsvc.Key
	err := stream(ctx, q, query, func(c authsvc.Change) error {
		keys = append(keys, c.Key)
		return nil
	}, args...)
	return keys, err
}

// stream gives each key to apply, with its secrets, as it comes from the database. An error of apply comes back as
// it is.
func stream(ctx context.Context, q querier, query string, apply func(authsvc.Change) error, args ...any) error {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return wrap(ctx, "read keys", err)
	}
	defer rows.Close()
	return fold(ctx, rows, apply)
}

// lock holds a key against other changes until the transaction ends, or answers ErrNotFound. It reads nothing: who
// had to wait for the row would see the key's new fields beside its old secrets, and must ask again.
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
