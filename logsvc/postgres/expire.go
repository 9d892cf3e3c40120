package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
)

// Expire implements logsvc.Store. It drops the days that have ended by then. A day that cannot be dropped does not hold up the
// others.
func (s *Store) Expire(ctx context.Context, before uuid.UUID, maxDays int) (days int, err error) {
	err = s.changeLayout(ctx, func(conn *pgxpool.Conn) error {
		days, err = expire(ctx, conn, before, maxDays)
		return err
	})
	if !hasCode(err, "55P03") { // lock_not_available: the database can be reached, and the caller tries again anyway
		err = pgdb.Unavailable(ctx, err)
	}
	if err != nil {
		return days, fmt.Errorf("expire request logs: %w", err)
	}
	return days, nil
}

func expire(ctx context.Context, conn *pgxpool.Conn, before uuid.UUID, maxDays int) (int, error) {
	// First, because Postgres refuses a concurrent detach while another one of the same table is unfinished.
	unfinished := errors.Join(clearMarks(ctx, conn), finishDrops(ctx, conn))
	all, _, err := listPartitions(ctx, conn)
	if err != nil {
		return 0, errors.Join(unfinished, err)
	}
	days := map[day]bool{}
	ended := slices.DeleteFunc(all, func(p partition) bool { return p.detaching || below(before, (p.day+1).bound()) })
	for _, p := range ended {
		days[p.day] = true
	}
	if len(days) > maxDays {
		return len(days), unfinished
	}
	errs := []error{unfinished}
	for _, p := range slices.Backward(ended) { // the oldest first
		errs = append(errs, drop(ctx, conn, p))
	}
	return len(days), errors.Join(append(errs, clearMarks(ctx, conn))...)
}

// clearMarks removes the marks of partitions that were not detached, in case an operator detaches them: their drop has failed, or
// its process has ended before the detach.
func clearMarks(ctx context.Context, conn *pgxpool.Conn) error {
	rows, err := conn.Query(ctx, `SELECT inhrelid::regclass::text FROM pg_inherits
		WHERE inhparent IN ('`+rowsTable+`'::regclass, '`+blocksTable+`'::regclass) AND NOT inhdetachpending
		AND obj_description(inhrelid, 'pg_class') = $1`, dropping)
	if err != nil {
		return fmt.Errorf("list the marked partitions: %w", err)
	}
	marked, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list the marked partitions: %w", err)
	}
	var errs []error
	for _, table := range marked {
		errs = append(errs, execAll(ctx, conn, "COMMENT ON TABLE "+table+" IS NULL"))
	}
	return errors.Join(errs...)
}

// finishDrops finishes the drops that were interrupted.
func finishDrops(ctx context.Context, conn *pgxpool.Conn) error {
	all, _, err := listPartitions(ctx, conn)
	errs := []error{err}
	for _, p := range all {
		if p.detaching {
			errs = append(errs, finishDetach(ctx, conn, p))
		}
	}
	detached, err := listDetached(ctx, conn)
	errs = append(errs, err)
	for _, d := range detached {
		if d.dropping {
			errs = append(errs, execAll(ctx, conn, "DROP TABLE IF EXISTS "+d.String()))
		}
	}
	return errors.Join(errs...)
}

// dropping is the comment of a table from before it is detached until it is dropped. A detached table without it was set aside by
// an operator: it is never dropped.
const dropping = "keytrail: has expired and is being dropped"

// drop detaches a partition and drops it.
func drop(ctx context.Context, conn *pgxpool.Conn, p partition) error {
	err := execAll(ctx, conn, fmt.Sprintf("COMMENT ON TABLE %s IS '%s'", p, dropping))
	if err == nil {
		err = detach(ctx, conn, p)
	}
	if err == nil {
		err = execAll(ctx, conn, "DROP TABLE IF EXISTS "+p.String())
	}
	if err != nil {
		return fmt.Errorf("drop the partition %s: %w", p, err)
	}
	return nil
}

// detach blocks no reads and writes of other days: DETACH CONCURRENTLY takes no exclusive lock, and a detached table has no
// users. Where Postgres cannot detach concurrently, all sessions wait for a moment, at most for the lock_timeout of
// changeLayout; if the cause is a detach that cannot be finished, which may last for hours, at most for 0.2 s.
func detach(ctx context.Context, conn *pgxpool.Conn, p partition) error {
	command := fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", p.table, p)
	err := execAll(ctx, conn, command+" CONCURRENTLY")
	// internal_error and feature_not_supported: Citus. object_not_in_prerequisite_state: a default partition, or an unfinished
	// detach.
	if !hasCode(err, "XX000", "0A000", "55000") {
		return err
	}
	all, _, err := listPartitions(ctx, conn)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(other partition) bool { return other.table == p.table && other.detaching }) {
		return execAll(ctx, conn, command)
	}
	if err := execAll(ctx, conn, "SET lock_timeout = '200ms'"); err != nil {
		return err
	}
	return errors.Join(execAll(ctx, conn, command), execAll(ctx, conn, setTimeouts...))
}

// finishDetach finishes an interrupted detach. It waits for the transactions that may still read the partition.
func finishDetach(ctx context.Context, conn *pgxpool.Conn, p partition) error {
	err := execAll(ctx, conn, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", p.table, p))
	if err != nil {
		return fmt.Errorf("finish the detach of the partition %s: %w", p, err)
	}
	return nil
}

// makeRoom removes a detached table that has the name of a partition. It drops the rest of a drop, or of a creation, which is
// empty. It renames a table that an operator has set aside: otherwise no row of its day could be stored, and the batches of the
// trail after it would wait.
func makeRoom(ctx context.Context, conn *pgxpool.Conn, p partition) error {
	detached, err := listDetached(ctx, conn)
	i := slices.IndexFunc(detached, func(d detachedTable) bool { return d.partition == p })
	if err != nil || i < 0 {
		return err
	}
	if !detached[i].dropping {
		var rows bool
		if err := conn.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM %s)", p)).Scan(&rows); err != nil {
			return err
		}
		if rows {
			return rename(ctx, conn, p)
		}
	}
	return execAll(ctx, conn, "DROP TABLE IF EXISTS "+p.String())
}

// detachedTable is a table that has the name of a partition and is none.
type detachedTable struct {
	partition
	// dropping reports whether this service has detached it to drop it.
	dropping bool
}

func listDetached(ctx context.Context, db db) (all []detachedTable, err error) {
	for _, table := range tables {
		rows, err := db.Query(ctx, `
			SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class') = $2, false)
			FROM pg_class parent JOIN pg_class c ON c.relnamespace = parent.relnamespace AND c.relkind = 'r'
			WHERE parent.oid = $1::text::regclass AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)`, table, dropping)
		if err != nil {
			return nil, fmt.Errorf("list the detached tables: %w", err)
		}
		var name string
		var d detachedTable
		_, err = pgx.ForEachRow(rows, []any{&name, &d.dropping}, func() error {
			if p, ok := parsePartition(table, name); ok {
				d.partition = p
				all = append(all, d)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list the detached tables: %w", err)
		}
	}
	return all, nil
}
