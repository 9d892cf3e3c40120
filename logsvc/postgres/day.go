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

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/uuid7"
)

const (
	dayLength = 24 * time.Hour
	dayFormat = "20060102"
)

// The partitioned tables. A day has a partition of each.
const (
	rowsTable   = "request_logs"
	blocksTable = "request_log_blocks"
)

var tables = []string{rowsTable, blocksTable}

// day is a UTC day, counted from 1970-01-01.
type day int64

func dayOf(t time.Time) day {
	return day(t.UTC().Truncate(dayLength).Unix() / int64(dayLength/time.Second))
}

func (d day) start() time.Time { return time.Unix(int64(d)*int64(dayLength/time.Second), 0).UTC() }

// bound returns the id at which the partitions of the day begin.
func (d day) bound() uuid.UUID { return uuid7.Bound(d.start()) }

// daysOf returns the days of ids, each once.
func daysOf[T any](items []T, id func(T) uuid.UUID) []day {
	var days []day
	for _, item := range items {
		if d := dayOf(uuid7.Time(id(item))); !slices.Contains(days, d) {
			days = append(days, d)
		}
	}
	return days
}

// partition is one day of one table.
type partition struct {
	table string
	day
	// detaching is set while the partition is being dropped: its rows are not shown any more.
	detaching bool
}

func (p partition) String() string { return p.table + "_" + p.start().Format(dayFormat) }

// parsePartition returns the partition of a name; ok is false for any other name.
func parsePartition(table, name string) (p partition, ok bool) {
	date, ok := strings.CutPrefix(name, table+"_")
	if !ok {
		return partition{}, false
	}
	start, err := time.Parse(dayFormat, date)
	return partition{table: table, day: dayOf(start)}, err == nil
}

// listPartitions reads the partitions of both tables, newest first, and the names of the unmanaged ones: those that this
// service has not created, e.g. a default partition, and never changes. It queries the catalogue each time, because another
// replica may have created or dropped a partition a moment ago.
func listPartitions(ctx context.Context, db db) (days []partition, unmanaged []string, err error) {
	rows, err := db.Query(ctx, `
		SELECT parent.relname, c.relname, c.oid::regclass::text, c.relnamespace = parent.relnamespace, i.inhdetachpending
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
		WHERE parent.oid IN ('`+rowsTable+`'::regclass, '`+blocksTable+`'::regclass)`)
	if err != nil {
		return nil, nil, fmt.Errorf("list the partitions: %w", err)
	}
	var table, name, fullName string
	var sameSchema, detaching bool
	_, err = pgx.ForEachRow(rows, []any{&table, &name, &fullName, &sameSchema, &detaching}, func() error {
		if p, ok := parsePartition(table, name); ok && sameSchema {
			p.detaching = detaching
			days = append(days, p)
		} else {
			unmanaged = append(unmanaged, fullName)
		}
		return nil
	})
	slices.SortFunc(days, func(a, b partition) int { return cmp.Or(cmp.Compare(b.day, a.day), cmp.Compare(a.table, b.table)) })
	return days, unmanaged, err
}

// Days returns the starts of the UTC days that may have rows or blocks, newest first. As Ping it does not wait for searches.
func (s *Store) Days(ctx context.Context) ([]time.Time, error) {
	days, err := attached(ctx, s.probes, rowsTable)
	starts := make([]time.Time, len(days))
	for i, d := range days {
		starts[i] = d.start()
	}
	return starts, pgdb.Unavailable(ctx, err)
}

// attached returns the partitions of a table whose rows are shown, newest first.
func attached(ctx context.Context, db db, table string) ([]partition, error) {
	days, _, err := listPartitions(ctx, db)
	return slices.DeleteFunc(days, func(p partition) bool { return p.table != table || p.detaching }), err
}

// below reports whether a is a lower id than b.
func below(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) < 0 }
