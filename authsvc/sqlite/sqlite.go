// Package sqlite stores keys in an embedded SQLite database, for an auth service with one replica.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/sqlitedb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is an authsvc.Store in one SQLite file. It has one writer, so the order of revisions is the order of commits.
type Store struct{ db *sqlitedb.DB }

var _ authsvc.Store = (*Store)(nil)

// Open opens or creates the store at path.
func Open(ctx context.Context, path string) (*Store, error) {
	return open(ctx, path, sqlitedb.Open)
}

// OpenReadOnly opens the store at path for reading. It must exist with the schema of this release.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	return open(ctx, path, sqlitedb.OpenReadOnly)
}

func open(ctx context.Context, path string, openDB func(context.Context, string, fs.FS) (*sqlitedb.DB, error)) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	db, err := openDB(ctx, path, files)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	return &Store{db: db}, nil
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// TokenKey implements authsvc.Store.
func (s *Store) TokenKey(ctx context.Context) ([]byte, error) {
	var key []byte
	err := s.db.Read.QueryRowContext(ctx, `SELECT key FROM token_key`).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) {
		return s.makeTokenKey(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	return key, nil
}

// makeTokenKey generates the key. If another process has done so meanwhile, the insert changes nothing and returns that
// key.
func (s *Store) makeTokenKey(ctx context.Context) ([]byte, error) {
	key := make([]byte, 32)
	rand.Read(key)
	err := s.write(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO token_key (one, key) VALUES (1, ?)
			ON CONFLICT (one) DO UPDATE SET key = key RETURNING key`, key).Scan(&key)
		if err != nil {
			return fmt.Errorf("token key: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}

// write runs do in a transaction of the writer and returns errors of do unchanged.
func (s *Store) write(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.Write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// This releases the only writer, even after a panic in do. After a commit it does nothing.
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
