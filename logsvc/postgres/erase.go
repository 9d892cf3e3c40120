package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// purgeChunk is how many rows one transaction of a purge erases.
const purgeChunk = 10_000

// Purge implements logsvc.Store.
func (s *Store) Purge(ctx context.Context, workspaceID string, upTo uuid.UUID) (int64, error) {
	erased, err := s.purge(ctx, workspaceID, upTo)
	if err != nil {
		return 0, fmt.Errorf("purge request logs of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
	}
	return erased, nil
}

// purge erases a chunk of the newest day that has any.
func (s *Store) purge(ctx context.Context, workspaceID string, upTo uuid.UUID) (int64, error) {
	days, err := storedDays(ctx, s.pool)
	if err != nil {
		return 0, err
	}
	for _, d := range days {
		if d.detaching || below(upTo, d.ids().From) {
			continue
		}
		tag, err := s.pool.Exec(ctx, fmt.Sprintf(`
			DELETE FROM %[1]s WHERE workspace_id = $1 AND id = ANY (ARRAY(
				SELECT id FROM %[1]s WHERE workspace_id = $1 AND id <= $2 ORDER BY id DESC LIMIT $3))`, d.table()),
			workspaceID, pgUUID(upTo), purgeChunk)
		if err != nil && !gone(err) {
			return 0, err
		}
		if tag.RowsAffected() > 0 {
			return tag.RowsAffected(), nil
		}
	}
	return 0, nil
}

// Expire implements logsvc.Store: it drops the days that have ended by then, and the snapshots that no row can refer
// to any more. Replicas take turns.
func (s *Store) Expire(ctx context.Context, before uuid.UUID) error {
	err := s.withLayout(ctx, func(conn *pgxpool.Conn) error {
		days, err := storedDays(ctx, conn)
		if err != nil {
			return err
		}
		for _, d := range days {
			if d.detaching || !below(before, d.ids().To) {
				if err := drop(ctx, conn, d); err != nil {
					return err
				}
			}
		}
		// A replica remembers until midnight that a snapshot is stored; one day more is for its clock.
		_, err = conn.Exec(ctx, `DELETE FROM request_log_keys WHERE used_on < $1::date - 1`, uuid7.Time(before))
		return err
	})
	if err != nil {
		return fmt.Errorf("expire request logs: %w", pgdb.Unavailable(ctx, err))
	}
	return nil
}

// drop takes a day out of the table and then away. Reads and writes of other days never wait: detaching
// concurrently locks nobody out, and a table that is detached has no users. An attempt that was broken off is
// finished first.
func drop(ctx context.Context, conn *pgxpool.Conn, d stored) error {
	detach := "ALTER TABLE request_logs DETACH PARTITION " + d.table() + " CONCURRENTLY"
	if d.detaching {
		detach = "ALTER TABLE request_logs DETACH PARTITION " + d.table() + " FINALIZE"
	}
	_, err := conn.Exec(ctx, detach)
	if isCode(err, "0A000") { // feature_not_supported: Citus
		_, err = conn.Exec(ctx, "ALTER TABLE request_logs DETACH PARTITION "+d.table())
	}
	if err == nil {
		_, err = conn.Exec(ctx, "DROP TABLE IF EXISTS "+d.table())
	}
	if err != nil {
		return fmt.Errorf("drop the partition %s: %w", d.table(), err)
	}
	return nil
}

// withLayout calls do on a connection that holds the layout lock, or not at all where another replica holds it: that
// one does the same work.
func (s *Store) withLayout(ctx context.Context, do func(*pgxpool.Conn) error) error {
	return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		var locked bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", layoutLock).Scan(&locked); err != nil || !locked {
			return err
		}
		_, err := conn.Exec(ctx, "SET lock_timeout = '5s'")
		if err == nil {
			err = do(conn)
		}
		// Ends the lock and the setting also where the context or the connection broke off.
		if _, e := conn.Exec(context.WithoutCancel(ctx), "RESET lock_timeout; SELECT pg_advisory_unlock_all()"); e != nil {
			conn.Conn().Close(context.WithoutCancel(ctx))
		}
		return err
	})
}
