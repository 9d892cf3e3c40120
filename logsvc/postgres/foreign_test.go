package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// foreign are partitions of request_logs that somebody else has made.
var foreign = map[string]struct{ table, sql string }{
	"a default partition": {"request_logs_default", `CREATE TABLE keytrail_logs.request_logs_default
		PARTITION OF keytrail_logs.request_logs DEFAULT`},
	"another name": {"archive", `CREATE TABLE keytrail_logs.archive
		PARTITION OF keytrail_logs.request_logs FOR VALUES FROM (MINVALUE) TO ('00100000-0000-0000-0000-000000000000')`},
	"the name of a day without the prefix": {"20200102", `CREATE TABLE keytrail_logs."20200102"
		PARTITION OF keytrail_logs.request_logs FOR VALUES FROM (MINVALUE) TO ('00100000-0000-0000-0000-000000000000')`},
	"the name of a day in another schema": {"request_logs_20200102", `CREATE TABLE public.request_logs_20200102
		PARTITION OF keytrail_logs.request_logs FOR VALUES FROM (MINVALUE) TO ('00100000-0000-0000-0000-000000000000')`},
}

func TestAForeignPartitionIsLeftAloneAndEverythingElseGoesOn(t *testing.T) {
	for name, part := range foreign {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t, migrate)
			conn := connect(t, url)
			if _, err := conn.Exec(t.Context(), part.sql); err != nil {
				t.Fatal(err)
			}
			store := open(t, url, time.Now) // makes days, with the foreign partition there
			old, young := rows("acme", time.Now().Add(-5*day), 3), rows("acme", time.Now(), 3)
			must(t, store.Record(t.Context(), append(old, young...)))
			must(t, store.Upkeep(t.Context()))
			if diff := cmp.Diff(newestFirst(append(old, young...)), all(t, store, "acme", logsvc.Filter{})); diff != "" {
				t.Errorf("stored (-sent +found):\n%s", diff)
			}
			if _, found, err := store.Get(t.Context(), "acme", old[0].ID); err != nil || !found {
				t.Errorf("get: found %t, %v", found, err)
			}
			days, err := store.Days(t.Context())
			if err != nil || len(days) != 5 {
				t.Errorf("the days are %v, %v; want yesterday to the day after tomorrow, and five days ago", days, err)
			}
			must(t, store.Expire(t.Context(), uuid7.First(time.Now().Add(-2*day))))
			if diff := cmp.Diff(newestFirst(young), all(t, store, "acme", logsvc.Filter{})); diff != "" {
				t.Errorf("after the expiry (-sent +found):\n%s", diff)
			}
			must(t, store.Record(t.Context(), rows("acme", time.Now().Add(-3*day), 3)))
			if n, err := store.Purge(t.Context(), "acme", uuid.Max); err != nil || n != 3 {
				t.Errorf("purged %d rows of the newest day, %v; want 3", n, err)
			}
			var there int
			err = conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
				WHERE inhparent = 'keytrail_logs.request_logs'::regclass AND relname = $1`, part.table).Scan(&there)
			if err != nil || there != 1 {
				t.Errorf("the foreign partition is there %d times, %v", there, err)
			}
		})
	}
}

// lines is a log that tells of each line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func TestAForeignPartitionIsLoggedByMaintenanceAlone(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	if _, err := connect(t, url).Exec(t.Context(), foreign["a default partition"].sql); err != nil {
		t.Fatal(err)
	}
	store, logged := open(t, url, time.Now), make(lines, 10)
	ctx, stop := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { store.Keep(ctx, slog.New(slog.NewTextHandler(logged, nil))) })
	line := <-logged
	if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "table=request_logs_default") ||
		!strings.Contains(line, "not listed, purged or expired") {
		t.Errorf("logged %q, want the table and what follows from it", line)
	}
	all(t, store, "acme", logsvc.Filter{})
	must(t, store.Upkeep(t.Context()))
	stop()
	keeping.Wait()
	if len(logged) != 0 {
		t.Errorf("logged besides: %q", <-logged)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
