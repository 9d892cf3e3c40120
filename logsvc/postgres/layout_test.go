package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/postgres"
)

// partitions returns the names of the partitions of a day.
func partitions(at time.Time) []string {
	date := at.UTC().Format("20060102")
	return []string{"keytrail_logs.request_logs_" + date, "keytrail_logs.request_log_blocks_" + date}
}

func value[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) (v T) {
	t.Helper()
	must(t, conn.QueryRow(t.Context(), sql, args...).Scan(&v))
	return v
}

// interruptions leave a drop unfinished, as if the process had been killed.
var interruptions = map[string]func(t *testing.T, conn *pgx.Conn, detach string){
	"detached and not dropped": func(t *testing.T, conn *pgx.Conn, detach string) {
		_, err := conn.Exec(t.Context(), detach)
		must(t, err)
	},
	"not detached completely": func(t *testing.T, conn *pgx.Conn, detach string) {
		reader := connect(t, conn.Config().ConnString())
		tx, err := reader.Begin(t.Context())
		must(t, err)
		_, err = tx.Exec(t.Context(), "SELECT FROM keytrail_logs.request_logs, keytrail_logs.request_log_blocks")
		must(t, err)
		_, err = conn.Exec(t.Context(), "SET statement_timeout = '100ms'")
		must(t, err)
		if _, err := conn.Exec(t.Context(), detach+" CONCURRENTLY"); err == nil {
			t.Error("the partition was detached while it is in use")
		}
		must(t, tx.Rollback(t.Context()))
	},
}

func TestInterruptedDropIsFinished(t *testing.T) {
	at := time.Now().Add(-5 * day)
	for i, table := range []string{"request_logs", "request_log_blocks"} {
		for name, interrupt := range interruptions {
			for _, next := range []string{"Expire", "Record"} {
				t.Run(table+" "+name+", then "+next, func(t *testing.T) {
					t.Parallel()
					url := pgtest.Database(t, migrate)
					store := open(t, url)
					must(t, store.CreateDay(t.Context(), at))
					conn := connect(t, url)
					_, err := conn.Exec(t.Context(), "COMMENT ON TABLE "+partitions(at)[i]+" IS '"+postgres.Dropping+"'")
					must(t, err)
					interrupt(t, conn, "ALTER TABLE keytrail_logs."+table+" DETACH PARTITION "+partitions(at)[i])
					if next == "Expire" {
						expire(t, store, 10*day)
						if value[bool](t, conn, "SELECT to_regclass($1) IS NOT NULL", partitions(at)[i]) {
							t.Error("the table still exists")
						}
					}
					// Another replica, which has not seen the day yet.
					storesADay(t, open(t, url), at)
				})
			}
		}
	}
}

// storesADay records rows of a day and seals half of them.
func storesADay(t *testing.T, store *postgres.Store, at time.Time) {
	t.Helper()
	sent := rows("acme", at, 4)
	must(t, store.Record(t.Context(), sent))
	must(t, store.Replace(t.Context(), "acme", sealing(sent[:2])))
	query := logsvc.ViewQuery{WorkspaceID: "acme", Range: logsvc.Range{To: uuid.Max}, Rows: 9, Blocks: 9}
	view, err := store.View(t.Context(), query)
	if diff := cmp.Diff(newestFirst(sent[2:]), view.Rows); err != nil || diff != "" || len(view.Blocks) != 1 {
		t.Errorf("%d blocks, %v, and rows (-want +found):\n%s", len(view.Blocks), err, diff)
	}
}

// sealing returns a change that moves rows into a block.
func sealing(rows []logsvc.Entry) logsvc.Change {
	b := logsvc.Block{ID: uuid.New(), First: rows[0].ID, Last: rows[len(rows)-1].ID, Rows: len(rows), Summary: []byte("summary")}
	return logsvc.Change{Rows: rows, Insert: []logsvc.SealedBlock{{Block: b, Data: []byte("data")}}}
}

func TestExpireDropsBothPartitionsOfEndedDays(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	store, conn := open(t, url), connect(t, url)
	for ago := range 6 {
		must(t, store.CreateDay(t.Context(), time.Now().Add(-time.Duration(ago)*day)))
	}
	expire(t, store, 3*day)
	for ago := range 6 {
		for _, name := range partitions(time.Now().Add(-time.Duration(ago) * day)) {
			if exists := value[bool](t, conn, "SELECT to_regclass($1) IS NOT NULL", name); exists != (ago <= 3) {
				t.Errorf("%s exists: %t", name, exists)
			}
		}
	}
}

func TestCompactTruncatesPastDaysThatAreSealedAndNotBusy(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	store, conn := open(t, url), connect(t, url)
	sizes := func() (sizes []int64) {
		for ago := range 3 {
			sizes = append(sizes, value[int64](t, conn, "SELECT pg_table_size($1::text::regclass)",
				partitions(time.Now().Add(-time.Duration(ago) * day))[0]))
		}
		return sizes
	}
	var batches [][]logsvc.Entry
	for ago := range 3 {
		batches = append(batches, rows("acme", time.Now().UTC().Truncate(day).Add(-time.Duration(ago)*day), 100))
		must(t, store.Record(t.Context(), batches[ago]))
		sealed := batches[ago]
		if ago == 2 {
			sealed = sealed[1:]
		}
		must(t, store.Replace(t.Context(), "acme", sealing(sealed)))
	}
	before := sizes()
	tx, err := conn.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE "+partitions(time.Now().Add(-day))[0]+" IN ROW EXCLUSIVE MODE")
	must(t, err)
	must(t, store.Compact(t.Context(), time.Now()))
	must(t, tx.Rollback(t.Context()))
	if busy := sizes(); !slices.Equal(busy, before) {
		t.Errorf("the sizes are %v after %v, though the only sealed day was in use", busy, before)
	}
	must(t, store.Compact(t.Context(), time.Now()))
	if after := sizes(); after[0] != before[0] || after[1] >= before[1] || after[2] != before[2] {
		t.Errorf("the sizes are %v after %v: today's and a day with a row must stay", after, before)
	}
}

// TestCompactSeesARowThatIsCommittedWhileItWaits has a row that is not there yet when Compact looks first.
func TestCompactSeesARowThatIsCommittedWhileItWaits(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	store := open(t, url)
	sent := rows("acme", time.Now().Add(-2*day), 11)
	must(t, store.Record(t.Context(), sent[1:]))
	must(t, store.Replace(t.Context(), "acme", sealing(sent[1:])))
	tx, compacted := insert(t, connect(t, url), sent[0]), make(chan error, 1)
	go func() { compacted <- store.Compact(t.Context(), time.Now()) }()
	awaitWaiter(t, connect(t, url))
	must(t, tx.Commit(t.Context()))
	must(t, <-compacted)
	if found := all(t, store, "acme"); len(found) != 1 {
		t.Errorf("%d rows are there, want 1", len(found))
	}
}
