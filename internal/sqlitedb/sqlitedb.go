// Package sqlitedb opens the embedded SQLite databases (modernc.org/sqlite, no cgo) of both services: one file each, in WAL mode,
// with all migrations applied.
package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers the "sqlite" driver
)

// readers is how many reads can run at the same time, in addition to one write.
const readers = 4

// DB is one database file. SQLite has one writer at a time: all writes use one connection and wait for it in Go, where a context
// can end the wait. Reads have connections of their own and never wait for a write.
type DB struct {
	Write *sql.DB
	Read  *sql.DB
	// Probe is one connection for readiness checks, which do not wait for reads.
	Probe *sql.DB
}

// Open opens or creates the file at path and applies the migrations. Committed transactions survive a crash of the machine
// (synchronous = FULL).
func Open(ctx context.Context, path string, migrations fs.FS) (*DB, error) {
	// Only its owner can access a new file, whatever the folder and the umask allow. SQLite gives its other files (-wal, -shm)
	// the same mode. An existing file keeps its mode.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create a database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("create a database: %w", err)
	}
	return open(path, "_txlock=immediate", "_pragma=query_only(1)", migrations, func(provider *goose.Provider) error {
		_, err := provider.Up(ctx)
		return err
	})
}

// OpenReadOnly opens an existing file whose schema is that of the migrations, and changes nothing in it: both connections refuse
// to write. Transactions that a crashed process has committed are read too.
func OpenReadOnly(ctx context.Context, path string, migrations fs.FS) (*DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open an existing database: %w", err)
	}
	return open(path, "mode=ro", "mode=ro", migrations, func(provider *goose.Provider) error {
		is, want, err := provider.GetVersions(ctx)
		if err == nil && is != want {
			err = fmt.Errorf("version %d and not %d: the database belongs to another release of this program", is, want)
		}
		return err
	})
}

// open opens the connections and calls prepare with the migrations.
func open(path, writeOptions, readOptions string, migrations fs.FS, prepare func(*goose.Provider) error) (*DB, error) {
	write, err := connect(path, 1, writeOptions)
	if err != nil {
		return nil, err
	}
	read, err := connect(path, readers, readOptions)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	probe, err := connect(path, 1, readOptions)
	if err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	db := &DB{Write: write, Read: read, Probe: probe}
	provider, err := goose.NewProvider(goose.DialectSQLite3, write, migrations)
	if err == nil {
		err = prepare(provider)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("schema of %s: %w", path, err), db.Close())
	}
	return db, nil
}

func connect(path string, connections int, options string) (*sql.DB, error) {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&" + options
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Close closes all connections.
func (db *DB) Close() error { return errors.Join(db.Probe.Close(), db.Read.Close(), db.Write.Close()) }
