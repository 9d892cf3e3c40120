package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
)

// inDays calls do once the days have partitions. do is called again if one of them has been dropped since it was looked up, now
// under the layout lock, so that none can be dropped in between.
func (s *Store) inDays(ctx context.Context, days []day, do func(db) error) error {
	for _, d := range days {
		if _, known := s.knownDays.Load(d); known {
			continue
		}
		if err := s.createDay(ctx, d); err != nil {
			return err
		}
	}
	err := do(s.pool)
	if !noPartition(err) {
		return err
	}
	s.knownDays.Clear()
	return s.changeLayout(ctx, func(conn *pgxpool.Conn) error {
		for _, d := range days {
			if err := attach(ctx, conn, d); err != nil {
				return err
			}
		}
		return do(conn)
	})
}

// CreateDay creates the partitions of the day of a time, if they are missing.
func (s *Store) CreateDay(ctx context.Context, at time.Time) error {
	return pgdb.Unavailable(ctx, s.createDay(ctx, dayOf(at)))
}

func (s *Store) createDay(ctx context.Context, d day) error {
	var attached int
	err := s.pool.QueryRow(ctx, `SELECT count(*) FROM pg_inherits
		WHERE inhrelid IN (to_regclass($1), to_regclass($2)) AND NOT inhdetachpending`,
		partition{table: rowsTable, day: d}.String(), partition{table: blocksTable, day: d}.String()).Scan(&attached)
	if err == nil && attached < len(tables) {
		err = s.changeLayout(ctx, func(conn *pgxpool.Conn) error { return attach(ctx, conn, d) })
	}
	if err != nil {
		return fmt.Errorf("create the partitions of %s: %w", d.start().Format(time.DateOnly), err)
	}
	s.knownDays.Store(d, true)
	return nil
}

// attach creates the partitions of a day that are missing; the caller holds the layout lock. A table is attached once it is
// complete: that lock on the parent blocks neither reads nor writes. Remains of an interrupted drop are dropped first.
func attach(ctx context.Context, conn *pgxpool.Conn, d day) error {
	existing, _, err := listPartitions(ctx, conn)
	if err != nil {
		return err
	}
	for _, table := range tables {
		p := partition{table: table, day: d}
		if slices.Contains(existing, p) {
			continue
		}
		if detaching := (partition{table: table, day: d, detaching: true}); slices.Contains(existing, detaching) {
			if err := drop(ctx, conn, detaching); err != nil {
				return err
			}
		}
		// One at a time: Citus refuses several commands in one statement.
		err := execAll(ctx, conn, fmt.Sprintf("DROP TABLE IF EXISTS %s", p),
			fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL)", p, table),
			fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')", table, p, d.bound(), (d+1).bound()))
		if err != nil {
			return fmt.Errorf("create the partition %s: %w", p, err)
		}
	}
	return nil
}

// ddlAttempts is how often a command is tried that is the victim of a deadlock. Citus detects some between changes of the
// layout and statements that need locks on several shards.
const ddlAttempts = 5

// execAll executes commands, each in a transaction of its own.
func execAll(ctx context.Context, conn *pgxpool.Conn, commands ...string) error {
	for _, command := range commands {
		_, err := conn.Exec(ctx, command)
		for attempt := 1; hasCode(err, "40P01") && attempt < ddlAttempts; attempt++ {
			_, err = conn.Exec(ctx, command)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Expire implements logsvc.Store. It drops the days that have ended by then.
func (s *Store) Expire(ctx context.Context, before uuid.UUID, maxDays int) (days int, err error) {
	err = s.changeLayout(ctx, func(conn *pgxpool.Conn) error {
		days, err = expire(ctx, conn, before, maxDays)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("expire request logs: %w", pgdb.Unavailable(ctx, err))
	}
	return days, nil
}

func expire(ctx context.Context, conn *pgxpool.Conn, before uuid.UUID, maxDays int) (int, error) {
	days, _, err := listPartitions(ctx, conn)
	if err != nil {
		return 0, err
	}
	ended := map[day]bool{}
	for _, p := range days {
		if !p.detaching && !below(before, (p.day+1).bound()) {
			ended[p.day] = true
		}
	}
	if len(ended) > maxDays {
		return len(ended), nil
	}
	for _, p := range days {
		if p.detaching || !below(before, (p.day+1).bound()) {
			if err := drop(ctx, conn, p); err != nil {
				return 0, err
			}
		}
	}
	return len(ended), dropDetached(ctx, conn)
}

// drop detaches a partition and drops it. It blocks no reads and writes of other days: DETACH CONCURRENTLY takes no
// exclusive lock, and a detached table has no users. An interrupted attempt is finished first. Where Postgres cannot detach
// concurrently, all sessions wait for a moment, at most for the lock_timeout of changeLayout.
func drop(ctx context.Context, conn *pgxpool.Conn, p partition) error {
	detach := fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", p.table, p)
	how := " CONCURRENTLY"
	if p.detaching {
		how = " FINALIZE"
	}
	err := execAll(ctx, conn, detach+how)
	// internal_error and feature_not_supported: Citus. object_not_in_prerequisite_state: there is a default partition.
	if hasCode(err, "XX000", "0A000", "55000") {
		err = execAll(ctx, conn, detach)
	}
	if err == nil {
		err = execAll(ctx, conn, "DROP TABLE IF EXISTS "+p.String())
	}
	if err != nil {
		return fmt.Errorf("drop the partition %s: %w", p, err)
	}
	return nil
}

// dropDetached drops tables that an interrupted attempt has detached and not dropped.
func dropDetached(ctx context.Context, conn *pgxpool.Conn) error {
	var all error
	for _, table := range tables {
		rows, _ := conn.Query(ctx, `
			SELECT c.relname FROM pg_class parent JOIN pg_class c ON c.relnamespace = parent.relnamespace AND c.relkind = 'r'
			WHERE parent.oid = $1::text::regclass AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)`, table)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string]) // an error of Query is returned here too
		all = errors.Join(all, err)
		for _, name := range names {
			if p, ok := parsePartition(table, name); ok {
				all = errors.Join(all, execAll(ctx, conn, "DROP TABLE IF EXISTS "+p.String()))
			}
		}
	}
	return all
}
