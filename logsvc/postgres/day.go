package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	dayLength = 24 * time.Hour
	tableName = "request_logs_"
	dayFormat = "20060102"
)

func dayOf(t time.Time) day {
	return day(t.UTC().Truncate(dayLength).Unix() / int64(dayLength/time.Second))
}

func (d day) start() time.Time { return time.Unix(int64(d)*int64(dayLength/time.Second), 0).UTC() }
func (d day) end() time.Time   { return (d + 1).start() }
func (d day) table() string    { return tableName + d.start().Format(dayFormat) }

// bound is the lowest id of a moment that a partition or an index begins or ends with. Unlike uuid7.First it has no
// version bits, so that every id of the millisecond is above it.
func bound(t time.Time) uuid.UUID {
	id := uuid7.First(t)
	id[6], id[8] = 0, 0
	return id
}

// ids is the range of ids of the day.
func (d day) ids() logsvc.Range { return logsvc.Range{From: bound(d.start()), To: bound(d.end())} }

// stored is a day that has a partition.
type stored struct {
	day
	// indexedTo is the moment up to which the day's endpoints have a trigram index; zero if they have none, or if
	// nobody asked.
	indexedTo time.Time
	// detaching is a day on its way out: nothing of it is shown any more.
	detaching bool
}

// storedDays reads which days there are, newest first. It asks the catalogue each time: another replica may have made
// or dropped one a moment ago.
func storedDays(ctx context.Context, db querier) ([]stored, error) {
	days, _, err := partitions(ctx, db)
	return days, err
}

// partitions reads the days that there are, newest first, and the names of the foreign partitions: those that somebody
// else has made, e.g. a default partition. They are not touched.
func partitions(ctx context.Context, db querier) (days []stored, foreign []string, err error) {
	rows, err := db.Query(ctx, `SELECT c.relname, c.oid::regclass::text, c.relnamespace = parent.relnamespace, i.inhdetachpending
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
		WHERE parent.oid = 'request_logs'::regclass`)
	if err != nil {
		return nil, nil, fmt.Errorf("read which days there are: %w", err)
	}
	var table, fullName string
	var beside, detaching bool
	_, err = pgx.ForEachRow(rows, []any{&table, &fullName, &beside, &detaching}, func() error {
		if d, ok := parseTable(table); ok && beside {
			days = append(days, stored{day: d, detaching: detaching})
		} else {
			foreign = append(foreign, fullName)
		}
		return nil
	})
	slices.SortFunc(days, func(a, b stored) int { return cmp.Compare(b.day, a.day) })
	return days, foreign, err
}

// Days answers the beginnings of the UTC days that rows can be stored of, newest first.
func (s *Store) Days(ctx context.Context) ([]time.Time, error) {
	days, err := storedDays(ctx, s.pool)
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

// parseTable returns the day that a table is named after; ok is false if it is none.
func parseTable(name string) (d day, ok bool) {
	date, ok := strings.CutPrefix(name, tableName)
	if !ok {
		return 0, false
	}
	start, err := time.Parse(dayFormat, date)
	return dayOf(start), err == nil
}

// daysOf answers the days of entries, each once.
func daysOf(entries []*logsvc.Entry) []day {
	var days []day
	for i := range entries {
		if d := dayOf(entries[i].Time()); !slices.Contains(days, d) {
			days = append(days, d)
		}
	}
	return days
}

// knownDays remembers which days this replica has seen a partition of, so that a batch need not ask.
type knownDays struct {
	mu   sync.Mutex
	days map[day]bool
}

func newKnownDays() *knownDays { return &knownDays{days: map[day]bool{}} }

func (k *knownDays) missing(entries []*logsvc.Entry) []day {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.DeleteFunc(daysOf(entries), func(d day) bool { return k.days[d] })
}

func (k *knownDays) add(d day) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.days[d] = true
}

func (k *knownDays) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.days)
}

// MakeDay makes the partition of the day of a moment, where it is missing.
func (s *Store) MakeDay(ctx context.Context, at time.Time) error { return s.make(ctx, dayOf(at)) }

// make makes the partition of a day, where it is missing. The table is attached once it is complete: that takes a lock
// on the parent that neither reads nor writes wait for.
func (s *Store) make(ctx context.Context, d day) error {
	attached, err := s.attached(ctx, d)
	if err == nil && !attached {
		err = s.withLock(ctx, layoutLock, func(conn *pgxpool.Conn) error { return attach(ctx, conn, d) })
	}
	if err != nil {
		return fmt.Errorf("make the partition %s: %w", d.table(), err)
	}
	s.days.add(d)
	return nil
}

// attached tells whether the day is a part of the table. One that has only been left behind by a drop that was broken
// off is not.
func (s *Store) attached(ctx context.Context, d day) (bool, error) {
	var attached bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1) AND NOT inhdetachpending)`,
		d.table()).Scan(&attached)
	return attached, err
}

// attach makes the partition; the caller holds the layout lock. What stands in its way is the rest of a drop.
func attach(ctx context.Context, conn *pgxpool.Conn, d day) error {
	days, err := storedDays(ctx, conn)
	if err != nil {
		return err
	}
	for _, other := range days {
		if other.day == d && !other.detaching {
			return nil
		}
		if other.day == d {
			if err := drop(ctx, conn, other); err != nil {
				return err
			}
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

// below tells whether a is a lower id than b.
func below(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) < 0 }
