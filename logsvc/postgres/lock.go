package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
)

// layoutLock is the advisory lock of replicas that create, truncate or drop partitions. It is held for moments.
const layoutLock = 0x6b74_6c6f_6773_0001 // "ktlogs", 1

// The layout lock is polled: a statement that waits in the server would hold a snapshot, and DETACH CONCURRENTLY waits for
// snapshots, which would be a deadlock.
const (
	lockTimeout = 30 * time.Second
	lockPoll    = 20 * time.Millisecond
)

// setTimeouts are those of changeLayout.
var setTimeouts = []string{"SET statement_timeout = 0", "SET lock_timeout = '5s'"}

// changeLayout waits for the layout lock and calls do on a connection that holds it. Statements of do may take as long as they
// need, but wait for the lock of a table for at most 5 s: sessions that queue behind a waiting one are blocked too.
func (s *Store) changeLayout(ctx context.Context, do func(*pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, lockTimeout, errors.New("another replica has held the lock for too long"))
	defer cancel()
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		acquired, err := tryLock(ctx, s.pool, layoutLock, func(conn *pgxpool.Conn) error {
			if err := execAll(ctx, conn, setTimeouts...); err != nil {
				return err
			}
			return do(conn)
		})
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

// tryLock calls do on a connection that holds the lock, and reports whether it was free. A connection that is lost releases its
// lock.
func tryLock(ctx context.Context, pool *pgxpool.Pool, lock int64, do func(*pgxpool.Conn) error) (acquired bool, err error) {
	err = pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lock).Scan(&acquired); err != nil || !acquired {
			return err
		}
		err := do(conn)
		cleanup := context.WithoutCancel(ctx)
		if _, e := conn.Exec(cleanup, "RESET ALL; SELECT pg_advisory_unlock_all()"); e != nil {
			conn.Conn().Close(cleanup)
		}
		return err
	})
	return acquired, err
}

// workspaceLock returns the advisory lock of a workspace. Two workspaces may share one: then one waits for the other.
func workspaceLock(workspaceID string) int64 {
	hash := fnv.New64a()
	hash.Write([]byte("keytrail logs of a workspace\x00" + workspaceID))
	return int64(hash.Sum64())
}

// TryLock implements logsvc.Store.
func (s *Store) TryLock(ctx context.Context, workspaceID string, do func(context.Context) error) (acquired bool, err error) {
	var doErr error
	acquired, err = tryLock(ctx, s.locks, workspaceLock(workspaceID), func(*pgxpool.Conn) error {
		doErr = do(ctx)
		return nil
	})
	if err != nil {
		return acquired, fmt.Errorf("lock the request logs of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
	}
	return acquired, doErr
}
