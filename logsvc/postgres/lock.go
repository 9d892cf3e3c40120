package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// The advisory locks of replicas that change the layout of the table.
const (
	// layoutLock is held for moments, while partitions are created or dropped.
	layoutLock = 0x6b74_6c6f_6773_0001 // "ktlogs", 1
	// indexLock is held for minutes, while indexes are created.
	indexLock = 0x6b74_6c6f_6773_0002
)

// The layout lock is polled: a statement that waits in the server would hold a snapshot, and CREATE INDEX CONCURRENTLY waits
// for snapshots, which would be a deadlock.
const (
	lockTimeout = 30 * time.Second
	lockPoll    = 20 * time.Millisecond
)

// withLock waits for the lock and calls do on a connection that holds it.
func (s *Store) withLock(ctx context.Context, lock int64, do func(*pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, lockTimeout, errors.New("another replica has held the lock for too long"))
	defer cancel()
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		acquired, err := s.tryLock(ctx, lock, do)
		if acquired || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock the layout: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// tryLock calls do on a connection that holds the lock, and reports whether it was free. Statements of do may take as long as
// they need, but wait for the lock of a table for at most 5 s: sessions that queue behind a waiting one are blocked too. A
// connection that is lost releases its lock.
func (s *Store) tryLock(ctx context.Context, lock int64, do func(*pgxpool.Conn) error) (acquired bool, err error) {
	err = s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lock).Scan(&acquired); err != nil || !acquired {
			return err
		}
		_, err := conn.Exec(ctx, "SET statement_timeout = 0; SET lock_timeout = '5s'")
		if err == nil {
			err = do(conn)
		}
		cleanup := context.WithoutCancel(ctx)
		if _, e := conn.Exec(cleanup, "RESET ALL; SELECT pg_advisory_unlock_all()"); e != nil {
			conn.Conn().Close(cleanup)
		}
		return err
	})
	return acquired, err
}
