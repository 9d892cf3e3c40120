// Package postgres is the logsvc.Store on Postgres 14 or later, or on Citus, for any number of replicas. It has one partition
// of each table a UTC day, so that expiry drops partitions. The schema is explained in
// docs/decisions/0005-sealed-blocks.md.
//
// Locks and connections have one order. Who holds one may wait for those below it, never for one above or beside it:
//
//  1. a connection of Store.locks with the lock of a workspace (TryLock),
//  2. a connection of Store.pool, perhaps with the lock of the layout (changeLayout), whose holder does all its work on it,
//  3. the locks of tables and rows of one statement or transaction on such a connection, in any order: Postgres ends a deadlock
//     among them, and the caller tries again. While it holds one of them, it does not ask for 1 or 2.
//
// Store.readers and Store.probes are for single statements, which need neither 1 nor 2.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// schema is the Postgres schema of this store; the auth service has its own.
const schema = "keytrail_logs"

//go:embed migrations/*.sql
var migrations embed.FS

// probeConns suffice for a readiness check and the metrics at the same time.
const probeConns = 2

var _ logsvc.Store = (*Store)(nil)

// Store is a logsvc.Store in one Postgres database.
type Store struct {
	pool *pgxpool.Pool
	// readers are the connections of searches, which take none from writers.
	readers *pgxpool.Pool
	// probes are the connections of readiness checks, which wait for neither searches nor writers.
	probes *pgxpool.Pool
	// locks are the connections that hold the locks of workspaces. Holders use the other pools, so none waits for itself.
	locks *pgxpool.Pool
	// knownDays caches the days that this replica has seen partitions of, so that a batch need not look them up.
	knownDays sync.Map
	// copyAfter is when batches may be copied again, in Unix nanoseconds.
	copyAfter atomic.Int64
	// walkTime is how long one View may walk rows that do not match.
	walkTime time.Duration
	// listenCheck is how long a connection that listens is silent before it is checked, and how long that may take.
	listenCheck time.Duration
}

// Open connects with pools of pool_max_conns connections each (10 where the URL does not say) for writers, for readers and
// for the locks of workspaces, and one of 2 for readiness checks. It brings the schema up to date and creates the partitions of
// yesterday to the day after tomorrow. RunMaintenance creates those of later days.
func Open(ctx context.Context, url string) (*Store, error) {
	s := &Store{walkTime: defaultWalkTime, listenCheck: defaultListenCheck}
	if err := s.open(ctx, url); err != nil {
		_ = s.Close() // it has no error
		return nil, fmt.Errorf("open request logs: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, url string) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if s.pool, err = pgdb.Open(ctx, url, schema, files); err != nil {
		return err
	}
	config := s.pool.Config()
	if s.locks, err = pgxpool.NewWithConfig(ctx, config.Copy()); err != nil {
		return err
	}
	config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	config.ConnConfig.RuntimeParams["statement_timeout"] = "5s"
	// The planner would scan and sort all partitions, because most of them are empty: each page would read the whole tail.
	config.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	if s.readers, err = pgxpool.NewWithConfig(ctx, config.Copy()); err != nil {
		return err
	}
	config.MaxConns, config.MinConns, config.MinIdleConns = probeConns, 0, 0
	// A generic plan locks the partitions of all days, of which one may be locked for a change of the layout.
	config.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_custom_plan"
	if s.probes, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	return s.createUpcoming(ctx)
}

// Time is logsvc.ReadTime: it returns the time by the clock of the database.
func (s *Store) Time(ctx context.Context, _ time.Time) (now time.Time, err error) {
	if err := s.probes.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return time.Time{}, fmt.Errorf("read the clock of the database: %w", pgdb.Unavailable(ctx, err))
	}
	return now, nil
}

// Writers returns the statistics of the connections that write.
func (s *Store) Writers() *pgxpool.Stat { return s.pool.Stat() }

// Readers returns the statistics of the connections of searches.
func (s *Store) Readers() *pgxpool.Stat { return s.readers.Stat() }

// Ping returns an error if rows and blocks cannot be read. It looks for a row that does not exist, and does not wait for
// searches.
func (s *Store) Ping(ctx context.Context) error {
	id := uuid7.First(time.Now())
	_, err := view(ctx, s.probes, logsvc.ViewQuery{
		WorkspaceID: "_ping", Range: logsvc.Range{From: id, To: uuid7.Next(id)}, Rows: 1, Blocks: 1,
	}, s.walkTime)
	return err
}

// Close closes all connections.
func (s *Store) Close() error {
	for _, pool := range []*pgxpool.Pool{s.probes, s.readers, s.pool, s.locks} {
		if pool != nil {
			pool.Close()
		}
	}
	return nil
}

// db is a pool, a connection or a transaction.
type db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Begin(ctx context.Context) (pgx.Tx, error)
}

func hasCode(err error, codes ...string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, pg.Code)
}

// noPartition reports whether the day of a row has no partition; the code is check_violation.
func noPartition(err error) bool { return hasCode(err, "23514") }
