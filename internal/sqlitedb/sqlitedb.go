// Package sqlitedb opens the embedded SQLite databases (modernc.org/sqlite, no cgo) of both services: one file,
// in WAL mode, with migrations applied.
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

// readers is how many reads can run at once, beside the one write.
const readers = 4

// DB is one database file. SQLite has one writer at a time: all writes go through one connection and wait for it
// in Go, where a context can end the wait; reads have their own connections and never wait for a write.
type DB struct {
	Write *sql.DB
	Read  *sql.DB
}

// Open opens or creates the file at path and applies the migrations. What a transaction has committed survives a
// crash of the machine (synchronous = FULL).
func Open(ctx context.Context, path string, migrations fs.FS) (*DB, error) {
	if err := createPrivate(path); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	db := &DB{}
	var err error
	if db.Write, err = open(path, 1, "_txlock=immediate"); err != nil {
		return nil, err
	}
	if err := migrate(ctx, db.Write, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate %s: %w", path, err), db.Write.Close())
	}
	if db.Read, err = open(path, readers, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, db.Write.Close())
	}
	return db, nil
}

// OpenReadOnly opens a file that is there and whose schema is that of the migrations, and changes nothing in it:
// statements that would are refused on both sides. What a crashed process has committed is read too.
func OpenReadOnly(ctx context.Context, path string, migrations fs.FS) (_ *DB, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open a database that must be there: %w", err)
	}
	db := &DB{}
	if db.Write, err = open(path, 1, "mode=ro"); err != nil {
		return nil, err
	}
	if err := expectVersion(ctx, db.Write, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Write.Close())
	}
	if db.Read, err = open(path, readers, "mode=ro"); err != nil {
		return nil, errors.Join(err, db.Write.Close())
	}
	return db, nil
}

// createPrivate makes a missing file for its owner alone, whatever the folder and the umask allow; SQLite gives the
// files beside it (-wal, -shm) the same mode. One that is there keeps its mode: somebody may have chosen it.
func createPrivate(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func open(path string, connections int, options string) (*sql.DB, error) {
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

func migrate(ctx context.Context, db *sql.DB, migrations fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// expectVersion fails where migrations are missing, or where some were applied that are not known here.
func expectVersion(ctx context.Context, db *sql.DB, migrations fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations)
	if err != nil {
		return err
	}
	is, want, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	if is != want {
		return fmt.Errorf("the schema is of version %d and not %d: it belongs to another release of this program", is, want)
	}
	return nil
}

// Close closes both sides.
func (db *DB) Close() error { return errors.Join(db.Read.Close(), db.Write.Close()) }
