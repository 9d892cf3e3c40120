package pgdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Eight replicas that start together on an empty database are all up after 1 to 3 s: the lock is asked for once in
// a second, the least that goose allows. A statement that waited for it in the server would hold a snapshot, which
// CREATE INDEX CONCURRENTLY in another's migration waits for: a deadlock.
const (
	lockEverySeconds = 1
	lockAttempts     = 600
)

// migrate makes the schema and applies what is missing of the migrations, each in a transaction of its own, under
// a lock of the session that migrates: it goes with the session, in whatever way that ends.
func migrate(ctx context.Context, config *pgx.ConnConfig, schema string, migrations fs.FS) error {
	db := stdlib.OpenDB(*forMigrations(config))
	defer db.Close()
	if err := makeSchema(ctx, db, schema); err != nil {
		return fmt.Errorf("schema %s: %w", schema, err)
	}
	provider, err := newProvider(db, schema, migrations)
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", schema, err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s (where the lock is not acquired, another replica is at it): %w", schema, err)
	}
	return nil
}

// newProvider makes the migrator of one schema, with a lock and a table of versions of its own.
func newProvider(db *sql.DB, schema string, migrations fs.FS) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockEverySeconds, lockAttempts),
		lock.WithLockID(int64(crc32.ChecksumIEEE([]byte("keytrail "+schema)))))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, migrations,
		goose.WithSessionLocker(locker), goose.WithTableName(schema+".goose_db_version"))
}

// forMigrations lets a statement run for as long as it takes, but not wait for ever for a lock: whoever queues
// behind a migration that waits is kept from the table too.
func forMigrations(config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	config.RuntimeParams = maps.Clone(config.RuntimeParams)
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["lock_timeout"] = "30s"
	return config
}

// makeSchema makes the schema where it is missing. It asks first, because a role that may not make schemas can
// still use one that is there.
func makeSchema(ctx context.Context, db *sql.DB, schema string) error {
	var there bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, schema).Scan(&there)
	if err != nil || there {
		return err
	}
	_, err = db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{schema}.Sanitize())
	// IF NOT EXISTS does not see a schema whose making has not been committed yet: the loser of two gets this error.
	if is(err, "23505") {
		return nil
	}
	return err
}

// is tells whether err is the server's error of this code.
func is(err error, code string) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == code
}
