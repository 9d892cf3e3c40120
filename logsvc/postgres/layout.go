package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

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
		if slices.Contains(existing, partition{table: table, day: d, detaching: true}) {
			if err := finishDetach(ctx, conn, p); err != nil {
				return err
			}
		}
		if err := makeRoom(ctx, conn, p); err != nil {
			return err
		}
		// One at a time: Citus refuses several commands in one statement.
		err := execAll(ctx, conn, fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL)", p, table),
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
