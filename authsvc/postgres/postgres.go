// Package postgres keeps the keys in Postgres: the store of an auth service with any number of replicas. Its tables
// are in a schema of their own, so that it can share a database with the log service.
package postgres

import (
	"context"
	"crypto/rand"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/pgdb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schema holds the tables.
const schema = "keytrail_auth"

// Store is an authsvc.Store on one Postgres database, which it may share with other replicas. Its errors are
// faults of the kind Unavailable while the database is away.
type Store struct {
	pool *pgxpool.Pool
	wake chan struct{}
}

var _ authsvc.Store = (*Store)(nil)

// Open opens the store in the database at url and brings its schema up to date; any number of replicas may do so
// at once. The url's pool_max_conns limits the connections; Listen takes one more.
func Open(ctx context.Context, url string) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	pool, err := pgdb.Open(ctx, url, schema, files)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	return &Store{pool: pool, wake: make(chan struct{}, 1)}, nil
}

// Connections tells how the connections are used.
func (s *Store) Connections() *pgxpool.Stat { return s.pool.Stat() }

// Close closes the connections, when those in use have come back. Listen must have ended.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// TokenKey implements authsvc.Store. The insert that changes nothing returns the key that is there.
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

// write runs do in a transaction. An error of do comes back as it is.
func (s *Store) write(ctx context.Context, do func(pgx.Tx) error) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return wrap(ctx, "begin", err)
	}
	// After a commit this does nothing. It must not wait for a caller who has gone.
	defer tx.Rollback(context.WithoutCancel(ctx))
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return wrap(ctx, "commit", err)
	}
	return nil
}

// wrap says what failed. The caller learns whether to try again.
func wrap(ctx context.Context, doing string, err error) error {
	return fmt.Errorf("%s: %w", doing, pgdb.Unavailable(ctx, err))
}
