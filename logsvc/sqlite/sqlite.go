// Package sqlite is the logsvc.Store on an embedded SQLite file, for a single process.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/keytrail/keytrail/internal/sqlitedb"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	// viewRows is how many rows a View with a filter looks at: a few milliseconds.
	viewRows = 20_000
	// deleteRows and deleteBlocks are how many one transaction deletes, so that batches never wait long for the writer.
	deleteRows   = 10_000
	deleteBlocks = 50
)

//go:embed migrations/*.sql
var migrations embed.FS

var _ logsvc.Store = (*Store)(nil)

// Store is a logsvc.Store on one SQLite file.
type Store struct {
	db *sqlitedb.DB
	// locked has the workspaces whose lock is held. No other process can hold one: the file belongs to this one.
	locked sync.Map
	// listeners are the announce functions of the calls of Listen.
	listening sync.RWMutex
	listeners map[*func(logsvc.Announcement)]struct{}
	// These are constant except in tests, which test the boundaries between chunks with a few rows.
	viewRows, deleteRows, deleteBlocks int
}

// Open opens the file at path, or creates it, and brings its schema up to date.
func Open(ctx context.Context, path string) (*Store, error) {
	return openStore(ctx, path, sqlitedb.Open)
}

// OpenReadOnly opens the file at path, which must exist and have the schema of this release, and changes nothing in it.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	return openStore(ctx, path, sqlitedb.OpenReadOnly)
}

type openFunc func(ctx context.Context, path string, migrations fs.FS) (*sqlitedb.DB, error)

func openStore(ctx context.Context, path string, openDB openFunc) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	db, err := openDB(ctx, path, files)
	if err != nil {
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	return &Store{
		db: db, listeners: map[*func(logsvc.Announcement)]struct{}{},
		viewRows: viewRows, deleteRows: deleteRows, deleteBlocks: deleteBlocks,
	}, nil
}

// Close closes the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close request logs: %w", err)
	}
	return nil
}

// Ping returns an error if rows and blocks cannot be read. It does not wait for searches.
func (s *Store) Ping(ctx context.Context) error {
	for _, table := range []string{"request_logs", "request_log_blocks"} {
		if _, err := s.db.Probe.ExecContext(ctx, "SELECT 1 FROM "+table+" LIMIT 1"); err != nil {
			return fmt.Errorf("read the store of request logs: %w", err)
		}
	}
	return nil
}

// snapshot calls read with a transaction that sees one state of the file.
func (s *Store) snapshot(ctx context.Context, read func(*sql.Tx) error) error {
	tx, err := s.db.Read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return read(tx)
}

// TryLock implements logsvc.Store.
func (s *Store) TryLock(ctx context.Context, workspaceID string, do func(context.Context) error) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("lock the request logs of %s: %w", workspaceID, err)
	}
	if _, held := s.locked.LoadOrStore(workspaceID, true); held {
		return false, nil
	}
	defer s.locked.Delete(workspaceID)
	return true, do(ctx)
}

// Compact implements logsvc.Store. It has nothing to do: SQLite stores new rows and blocks where deleted ones were.
func (s *Store) Compact(ctx context.Context, _ time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("compact request logs: %w", err)
	}
	return nil
}
