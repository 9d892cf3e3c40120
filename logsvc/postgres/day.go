package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// day is a UTC day, counted from 1970-01-01.
type day int64

const (
	dayLength   = 24 * time.Hour
	tablePrefix = "request_logs_"
	dayFormat   = "20060102"
)

func dayOf(t time.Time) day {
	return day(t.UTC().Truncate(dayLength).Unix() / int64(dayLength/time.Second))
}

func (d day) start() time.Time { return time.Unix(int64(d)*int64(dayLength/time.Second), 0).UTC() }
func (d day) end() time.Time   { return (d + 1).start() }
func (d day) table() string    { return tablePrefix + d.start().Format(dayFormat) }

// bound returns the id at which a partition or an index begins or ends. Unlike uuid7.First it has no version bits, so that
// every id of the millisecond is above it.
func bound(t time.Time) uuid.UUID {
	id := uuid7.First(t)
	id[6], id[8] = 0, 0
	return id
}

// ids returns the range of ids of the day.
func (d day) ids() logsvc.Range { return logsvc.Range{From: bound(d.start()), To: bound(d.end())} }

// parseTable returns the day that a partition is named after; ok is false for any other name.
func parseTable(name string) (d day, ok bool) {
	date, ok := strings.CutPrefix(name, tablePrefix)
	if !ok {
		return 0, false
	}
	start, err := time.Parse(dayFormat, date)
	return dayOf(start), err == nil
}

// daysOf returns the days of entries, each once.
func daysOf(entries []*logsvc.Entry) []day {
	var days []day
	for _, e := range entries {
		if d := dayOf(e.Time()); !slices.Contains(days, d) {
			days = append(days, d)
		}
	}
	return days
}

// partition is a day that is attached to the table.
type partition struct {
	day
	// indexedTo is the time up to which the day's endpoints have a trigram index; zero if they have none, or if it was
	// not read.
	indexedTo time.Time
	// detaching is set while the partition is being dropped: none of its rows is shown any more.
	detaching bool
}

// listPartitions reads the partitions, newest first, and the names of the unmanaged ones: those that this service has not
// created, e.g. a default partition, and never changes. It queries the catalogue each time, because another replica may have
// created or dropped a partition a moment ago.
func listPartitions(ctx context.Context, db querier) (days []partition, unmanaged []string, err error) {
	rows, err := db.Query(ctx, `SELECT c.relname, c.oid::regclass::text, c.relnamespace = parent.relnamespace, i.inhdetachpending
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
		WHERE parent.oid = 'request_logs'::regclass`)
	if err != nil {
		return nil, nil, fmt.Errorf("list the partitions: %w", err)
	}
	var table, fullName string
	var sameSchema, detaching bool
	_, err = pgx.ForEachRow(rows, []any{&table, &fullName, &sameSchema, &detaching}, func() error {
		if d, ok := parseTable(table); ok && sameSchema {
			days = append(days, partition{day: d, detaching: detaching})
		} else {
			unmanaged = append(unmanaged, fullName)
		}
		return nil
	})
	slices.SortFunc(days, func(a, b partition) int { return cmp.Compare(b.day, a.day) })
	return days, unmanaged, err
}

// Days returns the starts of the UTC days that have a partition, newest first.
func (s *Store) Days(ctx context.Context) ([]time.Time, error) {
	days, _, err := listPartitions(ctx, s.pool)
	if err != nil {
		return nil, pgdb.Unavailable(ctx, err)
	}
	starts := make([]time.Time, 0, len(days))
	for _, d := range days {
		if !d.detaching {
			starts = append(starts, d.start())
		}
	}
	return starts, nil
}

// CreateDay creates the partition of the day of a time, if it is missing.
func (s *Store) CreateDay(ctx context.Context, at time.Time) error {
	return s.createPartition(ctx, dayOf(at))
}

// createPartition creates the partition of a day, if it is missing.
func (s *Store) createPartition(ctx context.Context, d day) error {
	var attached bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1) AND NOT inhdetachpending)`,
		d.table()).Scan(&attached)
	if err == nil && !attached {
		err = s.withLock(ctx, layoutLock, func(conn *pgxpool.Conn) error { return attach(ctx, conn, d) })
	}
	if err != nil {
		return fmt.Errorf("create the partition %s: %w", d.table(), err)
	}
	s.knownDays.Store(d, true)
	return nil
}

// attach creates the partition, if it is missing; the caller holds the layout lock. The table is attached once it is
// complete: that lock on the parent blocks neither reads nor writes. Remains of an interrupted drop are dropped first.
func attach(ctx context.Context, conn *pgxpool.Conn, d day) error {
	days, _, err := listPartitions(ctx, conn)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(days, func(p partition) bool { return p.day == d }); i >= 0 {
		if !days[i].detaching {
			return nil
		}
		if err := drop(ctx, conn, days[i]); err != nil {
			return err
		}
	}
	ids := d.ids()
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		DROP TABLE IF EXISTS %[1]s;
		CREATE TABLE %[1]s (LIKE request_logs INCLUDING ALL);
		ALTER TABLE request_logs ATTACH PARTITION %[1]s FOR VALUES FROM ('%[2]s') TO ('%[3]s')`,
		d.table(), ids.From, ids.To))
	return err
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// below reports whether a is a lower id than b.
func below(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) < 0 }
