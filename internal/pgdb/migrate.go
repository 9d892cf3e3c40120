package pgdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// The lock is polled once a second, the shortest interval that goose allows: eight replicas that start together on an empty
// database are all up after 1 to 3 s. A statement that waits in the server would hold a snapshot, which CREATE INDEX
// CONCURRENTLY in the migration of another replica waits for: a deadlock.
const (
	lockPollSeconds = 1
	lockAttempts    = 600
)

// A statement of a migration waits for the lock of a table for lockTimeout, because all other sessions queue behind it.
// Then the migration is rolled back, they pass, and it is tried again after a pause, maxTries times in about a minute.
const (
	lockTimeout       = "1s"
	maxTries          = 14
	minPause          = 500 * time.Millisecond
	maxPause          = 5 * time.Second
	codeLockTimeout   = "55P03" // lock_not_available
	codeAlreadyExists = "23505" // unique_violation
)

// migrate creates the schema and applies the missing migrations, each in a transaction of its own, under a session lock,
// which is released however the session ends.
func migrate(ctx context.Context, config *pgx.ConnConfig, schema string, migrations fs.FS) error {
	db := stdlib.OpenDB(*forMigrations(config))
	defer db.Close()
	if err := createSchema(ctx, db, schema); err != nil {
		return fmt.Errorf("schema %s: %w", schema, err)
	}
	provider, err := newProvider(db, schema, migrations)
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", schema, err)
	}
	_, err = backoff.Retry(ctx, func() ([]*goose.MigrationResult, error) {
		results, err := provider.Up(ctx)
		if !hasCode(err, codeLockTimeout) {
			err = backoff.Permanent(err)
		}
		return results, err
	}, backoff.WithMaxTries(maxTries), backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: minPause, MaxInterval: maxPause, Multiplier: 2, RandomizationFactor: 0.2,
	}))
	if err != nil {
		return fmt.Errorf("migrate %s (if the lock was not acquired, another replica is migrating): %w", schema, err)
	}
	return nil
}

// newProvider returns the migrator of one schema, which has its own lock and version table.
func newProvider(db *sql.DB, schema string, migrations fs.FS) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockPollSeconds, lockAttempts),
		lock.WithLockID(int64(crc32.ChecksumIEEE([]byte("keytrail "+schema)))))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, migrations,
		goose.WithSessionLocker(locker), goose.WithTableName(schema+".goose_db_version"))
}

// forMigrations removes the limit on the duration of statements, and limits how long they wait for a lock.
func forMigrations(config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	config.RuntimeParams = maps.Clone(config.RuntimeParams)
	config.RuntimeParams["statement_timeout"] = "0"
	config.RuntimeParams["lock_timeout"] = lockTimeout
	return config
}

// createSchema creates the schema if it is missing. It looks first, because a role without the right to create schemas can
// use an existing one.
func createSchema(ctx context.Context, db *sql.DB, schema string) error {
	var exists bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, schema).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{schema}.Sanitize())
	// IF NOT EXISTS does not see a schema that another session has not committed yet: that is a unique_violation.
	if hasCode(err, codeAlreadyExists) {
		return nil
	}
	return err
}

// hasCode reports whether err is an error of Postgres with this code.
func hasCode(err error, code string) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == code
}
