// Package postgres keeps request logs in Postgres 14 or later, for any number of replicas: one partition a UTC day,
// so that retention is the drop of a partition, and every search goes day by day, newest first. The choice of the
// schema is written down in docs/decisions/0001-request-logs-in-postgres.md.
package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

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
	// readers are connections that follow the indexes that List chose.
	readers   *pgxpool.Pool
	now       func() time.Time
	days      *knownDays
	snapshots *knownSnapshots
	indexes   knownIndexes
}

// Open connects with two pools of pool_max_conns connections each (10 where the URL does not say), brings the schema up
// to date and makes the days from yesterday to the day after tomorrow. Keep goes on with the days after that.
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
	s := &Store{pool: pool, readers: readers, now: now, days: newKnownDays(), snapshots: newKnownSnapshots()}
	if err := s.makeAhead(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	return s, nil
}

// Writers tells how the connections that write are used.
func (s *Store) Writers() *pgxpool.Stat { return s.pool.Stat() }

// Readers tells how the connections of searches are used.
func (s *Store) Readers() *pgxpool.Stat { return s.readers.Stat() }

// Close ends all connections.
func (s *Store) Close() error {
	s.readers.Close()
	s.pool.Close()
	return nil
}

// openReaders opens connections for searches. Their statements are written for one index each; without statistics, as
// on a day that has just begun, the planner would take a scan of the table and a sort for cheaper.
func openReaders(ctx context.Context, config *pgxpool.Config) (*pgxpool.Pool, error) {
	for name, value := range map[string]string{
		"enable_seqscan": "off", "enable_sort": "off", "jit": "off", "plan_cache_mode": "force_generic_plan",
		"statement_timeout": "5s", "default_transaction_read_only": "on",
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	return pgxpool.NewWithConfig(ctx, config)
}
