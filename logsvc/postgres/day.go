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

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// day is a UTC day, counted from 1970-01-01.
type day int64

const (
	dayLength = 24 * time.Hour
	tableName = "request_logs_"
	dayFormat = "20060102"
	// layoutLock is the advisory lock of whoever makes or drops days, or indexes them.
	layoutLock = 0x6b74_6c6f_6773 // "ktlogs"
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
	rows, err := db.Query(ctx, `SELECT c.relname, i.inhdetachpending FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'request_logs'::regclass`)
	if err != nil {
		return nil, fmt.Errorf("read which days there are: %w", err)
	}
	days, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s stored, err error) {
		var table string
		if err := row.Scan(&table, &s.detaching); err != nil {
			return stored{}, err
		}
		s.day, err = parseTable(table)
		return s, err
	})
	slices.SortFunc(days, func(a, b stored) int { return cmp.Compare(b.day, a.day) })
	return days, err
}

// parseTable reads table back.
func parseTable(name string) (day, error) {
	start, err := time.Parse(dayFormat, strings.TrimPrefix(name, tableName))
	if err != nil {
		return 0, fmt.Errorf("partition %q is not named after a day: %w", name, err)
	}
	return dayOf(start), nil
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
	var missing []day
	for i := range entries {
		if d := dayOf(entries[i].Time()); !k.days[d] && !slices.Contains(missing, d) {
			missing = append(missing, d)
		}
	}
	return missing
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
	ids := d.ids()
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := lockLayout(ctx, tx); err != nil {
			return err
		}
		var exists bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", d.table()).Scan(&exists); err != nil || exists {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(`
			CREATE TABLE %[1]s (LIKE request_logs INCLUDING ALL);
			ALTER TABLE request_logs ATTACH PARTITION %[1]s FOR VALUES FROM ('%[2]s') TO ('%[3]s')`,
			d.table(), ids.From, ids.To))
		return err
	})
	if err != nil {
		return fmt.Errorf("make the partition %s: %w", d.table(), err)
	}
	s.days.add(d)
	return nil
}

// lockLayout waits until no other replica makes, drops or indexes days, up to the end of the transaction.
func lockLayout(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', '5s', true), pg_advisory_xact_lock($1)", layoutLock)
	return err
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// below tells whether a is a lower id than b.
func below(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) < 0 }
