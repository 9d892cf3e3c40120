// Package postgres is the logsvc.Store on Postgres 14 or later, for any number of replicas. It has one partition a UTC day, so
// that expiry drops partitions, and every search goes day by day, newest first. The schema is explained in
// docs/decisions/0001-request-logs-in-postgres.md.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/logsvc"
)

// schema is the Postgres schema of this store; the auth service has its own.
const schema = "keytrail_logs"

//go:embed migrations/*.sql
var migrations embed.FS

var _ logsvc.Store = (*Store)(nil)

// Store is a logsvc.Store in one Postgres database.
type Store struct {
	pool *pgxpool.Pool
	// readers are connections whose planner follows the indexes that List chose.
	readers *pgxpool.Pool
	now     func() time.Time
	// knownDays caches the days that this replica has seen a partition of, so that a batch need not look them up.
	knownDays sync.Map
	snapshots *knownSnapshots
	indexes   knownIndexes
}

// Open connects with two pools of pool_max_conns connections each (10 where the URL does not say), brings the schema up
// to date and creates the partitions of yesterday to the day after tomorrow. RunMaintenance creates those of later days.
func Open(ctx context.Context, url string, now func() time.Time) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	pool, err := pgdb.Open(ctx, url, schema, files)
	if err != nil {
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	readers, err := openReaders(ctx, pool.Config())
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	s := &Store{pool: pool, readers: readers, now: now, snapshots: newKnownSnapshots()}
	if err := s.createUpcoming(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	return s, nil
}

// Writers returns the statistics of the connections that write.
func (s *Store) Writers() *pgxpool.Stat { return s.pool.Stat() }

// Readers returns the statistics of the connections of searches.
func (s *Store) Readers() *pgxpool.Stat { return s.readers.Stat() }

// Close closes all connections.
func (s *Store) Close() error {
	s.readers.Close()
	s.pool.Close()
	return nil
}

// openReaders opens connections for searches. Their statements are written for one index each; without statistics, as on a
// day that has just begun, the planner would prefer a scan of the table and a sort.
func openReaders(ctx context.Context, config *pgxpool.Config) (*pgxpool.Pool, error) {
	for name, value := range map[string]string{
		"enable_seqscan": "off", "enable_sort": "off", "jit": "off", "plan_cache_mode": "force_generic_plan",
		"statement_timeout": "5s", "default_transaction_read_only": "on",
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	return pgxpool.NewWithConfig(ctx, config)
}

func hasCode(err error, code string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == code
}

// undefinedTable reports whether a partition has been dropped since the catalogue was read.
func undefinedTable(err error) bool { return hasCode(err, "42P01") }

// queryCanceled reports whether a statement has exceeded its timeout.
func queryCanceled(err error) bool { return hasCode(err, "57014") }

// noPartition reports whether the day of a row has no partition; the code is check_violation.
func noPartition(err error) bool { return hasCode(err, "23514") }
