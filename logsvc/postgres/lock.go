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
	// layoutLock is held for moments, by whoever makes or drops days.
	layoutLock = 0x6b74_6c6f_6773_0001 // "ktlogs", 1
	// indexLock is held for minutes, by whoever makes indexes.
	indexLock = 0x6b74_6c6f_6773_0002
)

const (
	// lockPatience is how long the layout lock is waited for, lockEvery how often it is asked for. A statement that
	// waited in the server would hold a snapshot, and CREATE INDEX CONCURRENTLY waits for snapshots: a deadlock.
	lockPatience = 30 * time.Second
	lockEvery    = 20 * time.Millisecond
)

// withLock calls do on a connection that holds the lock, which it waits for.
func (s *Store) withLock(ctx context.Context, lock int64, do func(*pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, lockPatience, errors.New("another replica has held the lock for too long"))
	defer cancel()
	tick := time.NewTicker(lockEvery)
	defer tick.Stop()
	for {
		held, err := s.tryLock(ctx, lock, do)
		if held || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock the layout: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// tryLock calls do on a connection that holds the lock, and tells whether it could have it. Statements of do may take
// as long as they need, but no lock of a table is waited for longer than 5 s: whoever queues behind one that waits is
// kept from the table too. A connection that breaks off gives its lock back.
func (s *Store) tryLock(ctx context.Context, lock int64, do func(*pgxpool.Conn) error) (held bool, err error) {
	err = s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lock).Scan(&held); err != nil || !held {
			return err
		}
		_, err := conn.Exec(ctx, "SET statement_timeout = 0; SET lock_timeout = '5s'")
		if err == nil {
			err = do(conn)
		}
		clean := context.WithoutCancel(ctx)
		if _, e := conn.Exec(clean, "RESET ALL; SELECT pg_advisory_unlock_all()"); e != nil {
			conn.Conn().Close(clean)
		}
		return err
	})
	return held, err
}
