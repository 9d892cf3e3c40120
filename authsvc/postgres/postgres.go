// Package postgres stores keys in Postgres, for an auth service with any number of replicas. Its tables have a schema of
// their own, so that it can share a database with the log service.
package postgres

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/pgdb"
)

//go:embed migrations/*.sql
var migrations embed.FS

const schema = "keytrail_auth"

// Store is an authsvc.Store in a Postgres database, which replicas may share. While the database is unreachable its errors
// are faults of the kind Unavailable.
type Store struct {
	pool    *pgxpool.Pool
	migrate func(context.Context) error
	wake    chan struct{}
}

var _ authsvc.Store = (*Store)(nil)

// Open opens the store in the database at url and migrates its schema. Replicas may do so concurrently. pool_max_conns in
// the url limits the connections; Listen uses one more.
func Open(ctx context.Context, url string) (*Store, error) {
	store, err := Lazy(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// Lazy is Open for a database that may be unreachable now. The caller calls Migrate before it uses the store, until that
// succeeds.
func Lazy(ctx context.Context, url string) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	pool, migrate, err := pgdb.Lazy(ctx, url, schema, files)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	return &Store{pool: pool, migrate: migrate, wake: make(chan struct{}, 1)}, nil
}

// Migrate migrates the schema of a store that Lazy opened. It can be repeated.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return wrap(ctx, "key store", err)
	}
	return nil
}

// Connections returns statistics of the connection pool.
func (s *Store) Connections() *pgxpool.Stat { return s.pool.Stat() }

// Close waits for the connections in use and closes all. Listen must have returned.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// TokenKey implements authsvc.Store. If there is a key, the insert changes nothing and returns it.
func (s *Store) TokenKey(ctx context.Context) ([]byte, error) {
	key := make([]byte, 32)
	rand.Read(key)
	err := s.pool.QueryRow(ctx, `INSERT INTO token_key (key) VALUES ($1)
		ON CONFLICT (one) DO UPDATE SET key = token_key.key RETURNING key`, key).Scan(&key)
	if err != nil {
		return nil, wrap(ctx, "token key", err)
	}
	return key, nil
}

// write runs do in a transaction and returns errors of do unchanged.
func (s *Store) write(ctx context.Context, do func(pgx.Tx) error) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return wrap(ctx, "begin", err)
	}
	// After a commit this does nothing. It must work even if ctx has ended.
	defer tx.Rollback(context.WithoutCancel(ctx))
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return wrap(ctx, "commit", err)
	}
	return nil
}

// wrap says what failed, and marks errors that a retry may avoid.
func wrap(ctx context.Context, action string, err error) error {
	return fmt.Errorf("%s: %w", action, pgdb.Unavailable(ctx, err))
}
