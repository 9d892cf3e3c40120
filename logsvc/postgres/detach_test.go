package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc/postgres"
)

// hold begins a transaction that reads something, and holds its locks and its snapshot until it ends, like pg_dump.
func hold(t *testing.T, url, what string) pgx.Tx {
	t.Helper()
	tx, err := connect(t, url).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	must(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM "+what)
	must(t, err)
	return tx
}

// pastDays creates the partitions of the six days before today, and returns their times, the oldest first.
func pastDays(t *testing.T, store *postgres.Store) (days []time.Time) {
	t.Helper()
	for ago := time.Duration(6); ago > 0; ago-- {
		days = append(days, time.Now().UTC().Truncate(day).Add(-ago*day+day/2))
		must(t, store.CreateDay(t.Context(), days[len(days)-1]))
	}
	return days
}

// expireTo is the daily pass in which a day is the newest that has ended.
func expireTo(t *testing.T, store *postgres.Store, newest time.Time) error {
	t.Helper()
	_, err := store.Expire(t.Context(), uuid7.First(newest.Truncate(day).Add(day)), math.MaxInt)
	return err
}

// exists reports whether a day has a table, attached or not.
func exists(t *testing.T, conn *pgx.Conn, at time.Time) bool {
	t.Helper()
	names := partitions(at)
	return value[bool](t, conn, "SELECT to_regclass($1) IS NOT NULL OR to_regclass($2) IS NOT NULL", names[0], names[1])
}

// TestDetachThatHangsOverMidnight has a transaction that stays open while three days expire, in one pass or more. A last pass
// follows when the transaction has ended.
func TestDetachThatHangsOverMidnight(t *testing.T) {
	for name, tt := range map[string]struct {
		// reads are the days that the transaction reads, dropped are those that are dropped nevertheless, and each pass is the
		// newest day that has ended by then.
		reads, dropped, passes []int
	}{
		"all days":                {reads: []int{0, 1, 2}, passes: []int{0, 2}},
		"the oldest":              {reads: []int{0}, dropped: []int{1, 2}, passes: []int{0, 2}},
		"the newest, in one pass": {reads: []int{2}, dropped: []int{0, 1}, passes: []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t, migrate)
			store, conn := open(t, url), connect(t, url)
			days := pastDays(t, store)[:3]
			reads := []string{"keytrail_logs.request_logs", "keytrail_logs.request_log_blocks"} // locks all days
			if len(tt.reads) == 1 {
				reads = partitions(days[tt.reads[0]])
			}
			tx := hold(t, url, strings.Join(reads, ", "))
			for _, newest := range tt.passes {
				if err := expireTo(t, store, days[newest]); err == nil {
					t.Errorf("the pass to day %d did not fail", newest)
				}
			}
			for _, i := range tt.dropped {
				if exists(t, conn, days[i]) {
					t.Errorf("day %d is not dropped", i)
				}
			}
			if n := value[int](t, conn, `SELECT count(*) FROM pg_inherits WHERE NOT inhdetachpending
				AND obj_description(inhrelid, 'pg_class') = $1`, postgres.Dropping); n != 0 {
				t.Errorf("%d partitions that were not detached are marked", n)
			}
			must(t, tx.Rollback(t.Context()))
			must(t, expireTo(t, store, days[2]))
			for i, at := range days {
				if exists(t, conn, at) {
					t.Errorf("day %d is not dropped when the transaction has ended", i)
				}
			}
			storesADay(t, store, days[0])
		})
	}
}

// setAside are the ways in which an operator detaches a table.
var setAside = map[string]func(t *testing.T, conn *pgx.Conn, detach string){
	"detached":             interruptions["detached and not dropped"],
	"an unfinished detach": interruptions["not detached completely"],
}

func TestTableThatAnOperatorHasDetachedIsLeftAloneAndLogged(t *testing.T) {
	for name, detach := range setAside {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t, migrate)
			store, conn, at := open(t, url), connect(t, url), time.Now().Add(-5*day)
			kept := rows("acme", at, 3)
			must(t, store.Record(t.Context(), kept))
			table := partitions(at)[0]
			detach(t, conn, "ALTER TABLE keytrail_logs.request_logs DETACH PARTITION "+table)
			for range 2 {
				expire(t, store, 2*day)
			}
			if n := value[int](t, conn, "SELECT count(*) FROM "+table); n != len(kept) {
				t.Errorf("%d of %d rows are left", n, len(kept))
			}
			name := strings.TrimPrefix(table, "keytrail_logs.")
			if line := firstLine(t, store); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "table="+name) {
				t.Errorf("logged %q, want a warning with the table", line)
			}
			// It is renamed when rows of its day arrive.
			late := rows("acme", at, 2)
			must(t, store.Record(t.Context(), late))
			if diff := cmp.Diff(newestFirst(late), all(t, store, "acme")); diff != "" {
				t.Errorf("stored (-sent +found):\n%s", diff)
			}
			if line := firstLine(t, store); !strings.Contains(line, "level=WARN") ||
				!strings.Contains(line, "schema=keytrail_logs table="+name+"_set_aside was="+name) {
				t.Errorf("logged %q, want a warning with both names", line)
			}
			expire(t, store, 2*day)
			if n := value[int](t, conn, "SELECT count(*) FROM "+table+"_set_aside"); n != len(kept) {
				t.Errorf("%d of %d rows are left after the renaming", n, len(kept))
			}
		})
	}
}

// TestServiceStartsAlthoughTodayIsSetAside has an operator who detaches both tables of today, again and again.
func TestServiceStartsAlthoughTodayIsSetAside(t *testing.T) {
	t.Parallel()
	url, at := pgtest.Database(t, migrate), time.Now()
	conn := connect(t, url)
	for _, suffix := range []string{"_set_aside", "_set_aside2", "_set_aside3"} {
		store := open(t, url)
		storesADay(t, store, at)
		for i, parent := range []string{"request_logs", "request_log_blocks"} {
			_, err := conn.Exec(t.Context(), "ALTER TABLE keytrail_logs."+parent+" DETACH PARTITION "+partitions(at)[i])
			must(t, err)
		}
		storesADay(t, open(t, url), at)
		for i, want := range []int{2, 1} {
			if n := value[int](t, conn, "SELECT count(*) FROM "+partitions(at)[i]+suffix); n != want {
				t.Errorf("%d of %d rows are in the table %s", n, want, suffix)
			}
		}
		if _, _, err := store.PurgeRecent(t.Context(), "acme", uuid.Max); err != nil {
			t.Error(err)
		}
		_, err := conn.Exec(t.Context(), "TRUNCATE keytrail_logs.request_log_blocks")
		must(t, err)
	}
}

// firstLine returns the first line that RunMaintenance logs.
func firstLine(t *testing.T, store *postgres.Store) string {
	t.Helper()
	logged := make(lines, 10)
	ctx, stop := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("nothing was logged"))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { store.RunMaintenance(ctx, slog.New(slog.NewTextHandler(logged, nil))) })
	select {
	case line := <-logged:
		return line
	case <-ctx.Done():
		return context.Cause(ctx).Error()
	}
}

// TestMarkOfADayThatWasNotDroppedIsRemoved has a process that ended between the mark and the detach.
func TestMarkOfADayThatWasNotDroppedIsRemoved(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	store, conn, at := open(t, url), connect(t, url), time.Now().Add(-5*day)
	must(t, store.CreateDay(t.Context(), at))
	for _, table := range partitions(at) {
		_, err := conn.Exec(t.Context(), "COMMENT ON TABLE "+table+" IS '"+postgres.Dropping+"'")
		must(t, err)
	}
	expire(t, store, 10*day)
	for i, parent := range []string{"request_logs", "request_log_blocks"} {
		_, err := conn.Exec(t.Context(), "ALTER TABLE keytrail_logs."+parent+" DETACH PARTITION "+partitions(at)[i])
		must(t, err)
	}
	expire(t, store, 2*day)
	for _, table := range partitions(at) {
		if !value[bool](t, conn, "SELECT to_regclass($1) IS NOT NULL", table) {
			t.Errorf("%s, which an operator has detached, was dropped", table)
		}
	}
}

// TestDaysAreCountedWhileADetachHangs has an unfinished detach, whose day is read, and the other days that have ended.
func TestDaysAreCountedWhileADetachHangs(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	store, conn := open(t, url), connect(t, url)
	days := pastDays(t, store)[:4]
	table := partitions(days[0])[0]
	interruptions["not detached completely"](t, conn, "ALTER TABLE keytrail_logs.request_logs DETACH PARTITION "+table)
	tx := hold(t, url, table)
	before := uuid7.First(days[3].Truncate(day).Add(day))
	n, err := store.Expire(t.Context(), before, 2)
	if n != 4 || err == nil || fault.KindOf(err) == fault.Unavailable {
		t.Errorf("Expire returned %d days, %v; want 4, and that the detach waits", n, err)
	}
	must(t, tx.Rollback(t.Context()))
	if n, err = store.Expire(t.Context(), before, 2); n != 4 || err != nil {
		t.Errorf("when the transaction has ended, Expire returned %d days, %v; want 4", n, err)
	}
}
