package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// purgeChunk is how many rows one transaction of a purge deletes.
const purgeChunk = 10_000

// Purge implements logsvc.Store.
func (s *Store) Purge(ctx context.Context, workspaceID string, upTo uuid.UUID) (int64, error) {
	deleted, err := s.purge(ctx, workspaceID, upTo)
	if err != nil {
		return 0, fmt.Errorf("purge request logs of %s: %w", workspaceID, pgdb.Unavailable(ctx, err))
	}
	return deleted, nil
}

// purge deletes a chunk of the newest day that has any rows to delete.
func (s *Store) purge(ctx context.Context, workspaceID string, upTo uuid.UUID) (int64, error) {
	days, _, err := listPartitions(ctx, s.pool)
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
		if err != nil && !undefinedTable(err) {
			return 0, err
		}
		if tag.RowsAffected() > 0 {
			return tag.RowsAffected(), nil
		}
	}
	return 0, nil
}

// Expire implements logsvc.Store. It drops the days that have ended by then, and deletes the key snapshots that no row can
// refer to any more.
func (s *Store) Expire(ctx context.Context, before uuid.UUID) error {
	err := s.withLock(ctx, layoutLock, func(conn *pgxpool.Conn) error { return expire(ctx, conn, before) })
	if err != nil {
		return fmt.Errorf("expire request logs: %w", pgdb.Unavailable(ctx, err))
	}
	return nil
}

func expire(ctx context.Context, conn *pgxpool.Conn, before uuid.UUID) error {
	days, _, err := listPartitions(ctx, conn)
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
	if err := dropDetached(ctx, conn); err != nil {
		return err
	}
	// A replica caches until midnight that a snapshot is stored; one day more allows for its clock. The order is that in
	// which batches store snapshots, so that the two never deadlock.
	_, err = conn.Exec(ctx, `DELETE FROM request_log_keys WHERE (workspace_id, key_ref) IN (
		SELECT workspace_id, key_ref FROM request_log_keys WHERE used_on < $1::date - 1
		ORDER BY workspace_id, key_ref FOR UPDATE SKIP LOCKED)`, uuid7.Time(before))
	return err
}

// drop detaches a partition and drops it. It blocks no reads and writes of other days: DETACH CONCURRENTLY takes no
// exclusive lock, and a detached table has no users. An interrupted attempt is finished first. Where Postgres cannot detach
// concurrently, all sessions wait for a moment, at most for the lock_timeout of tryLock.
func drop(ctx context.Context, conn *pgxpool.Conn, d partition) error {
	detach := "ALTER TABLE request_logs DETACH PARTITION " + d.table() + " CONCURRENTLY"
	if d.detaching {
		detach = "ALTER TABLE request_logs DETACH PARTITION " + d.table() + " FINALIZE"
	}
	_, err := conn.Exec(ctx, detach)
	// feature_not_supported: Citus. object_not_in_prerequisite_state: there is a default partition.
	if hasCode(err, "0A000") || hasCode(err, "55000") {
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

// dropDetached drops tables that an interrupted attempt has detached and not dropped.
func dropDetached(ctx context.Context, conn *pgxpool.Conn) error {
	rows, err := conn.Query(ctx, `
		SELECT c.relname FROM pg_class parent JOIN pg_class c ON c.relnamespace = parent.relnamespace AND c.relkind = 'r'
		WHERE parent.oid = 'request_logs'::regclass AND c.relname ~ '^request_logs_\d{8}$'
			AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)`)
	if err != nil {
		return err
	}
	detached, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, table := range detached {
		if _, e := conn.Exec(ctx, "DROP TABLE IF EXISTS "+table); e != nil {
			err = errors.Join(err, fmt.Errorf("drop %s: %w", table, e))
		}
	}
	return err
}
