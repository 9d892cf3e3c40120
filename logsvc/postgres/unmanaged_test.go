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

	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// unmanaged are partitions of request_logs that this service has not created.
var unmanaged = map[string]struct{ table, sql string }{
	"a default partition": {"request_logs_default", `CREATE TABLE keytrail_logs.request_logs_default
		PARTITION OF keytrail_logs.request_logs DEFAULT`},
	"another name": {"archive", `CREATE TABLE keytrail_logs.archive
		PARTITION OF keytrail_logs.request_logs FOR VALUES FROM (MINVALUE) TO ('00100000-0000-0000-0000-000000000000')`},
	"the name of a day without the prefix": {"20200102", `CREATE TABLE keytrail_logs."20200102"
		PARTITION OF keytrail_logs.request_logs FOR VALUES FROM (MINVALUE) TO ('00100000-0000-0000-0000-000000000000')`},
	"the name of a day in another schema": {"request_logs_20200102", `CREATE TABLE public.request_logs_20200102
		PARTITION OF keytrail_logs.request_logs FOR VALUES FROM (MINVALUE) TO ('00100000-0000-0000-0000-000000000000')`},
}

func TestUnmanagedPartitionIsNotTouchedAndAllElseWorks(t *testing.T) {
	for name, part := range unmanaged {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t, migrate)
			conn := connect(t, url)
			if _, err := conn.Exec(t.Context(), part.sql); err != nil {
				t.Fatal(err)
			}
			store := open(t, url) // creates partitions beside the unmanaged one
			old, young := rows("acme", time.Now().Add(-5*day), 3), rows("acme", time.Now(), 3)
			must(t, store.Record(t.Context(), append(old, young...)))
			if diff := cmp.Diff(newestFirst(append(old, young...)), all(t, store, "acme")); diff != "" {
				t.Errorf("stored (-sent +found):\n%s", diff)
			}
			days, err := store.Days(t.Context())
			if err != nil || len(days) != 5 {
				t.Errorf("the days are %v, %v; want yesterday to the day after tomorrow, and five days ago", days, err)
			}
			expire(t, store, 2*day)
			if diff := cmp.Diff(newestFirst(young), all(t, store, "acme")); diff != "" {
				t.Errorf("after the expiry (-sent +found):\n%s", diff)
			}
			must(t, store.Record(t.Context(), rows("acme", time.Now().Add(-3*day), 3)))
			if n, _, err := store.PurgeRecent(t.Context(), "acme", uuid.Max); err != nil || n != 6 {
				t.Errorf("purged %d rows of two days, %v; want 6", n, err)
			}
			var count int
			err = conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
				WHERE inhparent = 'keytrail_logs.request_logs'::regclass AND relname = $1`, part.table).Scan(&count)
			if err != nil || count != 1 {
				t.Errorf("found the unmanaged partition %d times, %v", count, err)
			}
		})
	}
}

// lines is a log that sends each line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func TestUnmanagedPartitionIsLoggedByRunMaintenanceOnly(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	if _, err := connect(t, url).Exec(t.Context(), unmanaged["a default partition"].sql); err != nil {
		t.Fatal(err)
	}
	store, logged := open(t, url), make(lines, 10)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { store.RunMaintenance(ctx, slog.New(slog.NewTextHandler(logged, nil))) })
	line := <-logged
	if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "table=request_logs_default") ||
		!strings.Contains(line, "not sealed or expired") {
		t.Errorf("logged %q, want the table and the consequence", line)
	}
	all(t, store, "acme")
	must(t, store.CreateDay(t.Context(), time.Now().Add(-4*day)))
	stop()
	running.Wait()
	if len(logged) != 0 {
		t.Errorf("unexpected log line: %q", <-logged)
	}
}
