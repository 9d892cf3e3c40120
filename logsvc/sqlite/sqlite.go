// Package sqlite keeps request logs in an embedded SQLite file: the store of a single process that needs nothing
// else installed.
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
	// searchChunk is how many rows a search looks at between two looks at its budget: a few milliseconds.
	searchChunk = 2_000
	// eraseChunk is how many rows one transaction erases, so that rows to record never wait long for the writer.
	eraseChunk = 10_000
)

//go:embed migrations/*.sql
var migrations embed.FS

var _ logsvc.Store = (*Store)(nil)

// Store is a logsvc.Store on one SQLite file.
type Store struct {
	db *sqlitedb.DB
	// The two chunks are constant but for tests, which see the seams between chunks with a handful of rows.
	searchChunk, eraseChunk int
}

// Open opens the file at path, or creates it, and brings its schema up to date.
func Open(ctx context.Context, path string) (*Store, error) {
	return openStore(ctx, path, sqlitedb.Open)
}

// OpenReadOnly opens the file at path, which must be there and of this release, to read what it holds and change
// nothing.
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
	return &Store{db: db, searchChunk: searchChunk, eraseChunk: eraseChunk}, nil
}

// Close closes the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close request logs: %w", err)
	}
	return nil
}
