// Package sqlite is the logsvc.Store on an embedded SQLite file, for a single process.
package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/keytrail/keytrail/internal/sqlitedb"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// searchChunk is how many rows a search reads before it checks its budget again: a few milliseconds.
	searchChunk = 2_000
	// deleteChunk is how many rows one transaction deletes, so that batches never wait long for the writer.
	deleteChunk = 10_000
)

//go:embed migrations/*.sql
var migrations embed.FS

var _ logsvc.Store = (*Store)(nil)

// Store is a logsvc.Store on one SQLite file.
type Store struct {
	db *sqlitedb.DB
	// The two chunks are constant except in tests, which test the boundaries between chunks with a few rows.
	searchChunk, deleteChunk int
}

// Open opens the file at path, or creates it, and brings its schema up to date.
func Open(ctx context.Context, path string) (*Store, error) {
	return openStore(ctx, path, sqlitedb.Open)
}

// OpenReadOnly opens the file at path, which must exist and have the schema of this release, and changes nothing in it.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	return openStore(ctx, path, sqlitedb.OpenReadOnly)
}

func openStore(ctx context.Context, path string, openDB func(context.Context, string, fs.FS) (*sqlitedb.DB, error)) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	db, err := openDB(ctx, path, files)
	if err != nil {
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	return &Store{db: db, searchChunk: searchChunk, deleteChunk: deleteChunk}, nil
}

// Close closes the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close request logs: %w", err)
	}
	return nil
}
