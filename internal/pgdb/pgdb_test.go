package pgdb_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// migrations has three migrations: the second waits for the advisory lock 1 between two changes.
var migrations = fstest.MapFS{
	"00001_one.sql": file("CREATE TABLE one (n int);"),
	"00002_two.sql": file("CREATE TABLE two (n int); INSERT INTO one VALUES (2);\n" +
		"SELECT pg_advisory_xact_lock(1);\nINSERT INTO two VALUES (2);"),
	"00003_three.sql": file("INSERT INTO two VALUES (3);"),
}

func file(statements string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + statements)}
}

func TestEightReplicasMigrateAtOnce(t *testing.T) {
	for round := range 5 {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t, nil)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { migrated(t, url) })
			}
			all.Wait()
		})
	}
}

// migrated opens the database as one of many replicas and expects the result of all migrations.
func migrated(t *testing.T, url string) {
	pool, err := pgdb.Open(t.Context(), url, "replicas", migrations)
	if err != nil {
		t.Error(err)
		return
	}
	defer pool.Close()
	expect(t, pool, `SELECT string_agg(n::text, ',' ORDER BY n) FROM two`, "2,3")
	expect(t, pool, `SELECT count(*)::text FROM goose_db_version WHERE version_id > 0`, "3")
}

func TestInterruptedMigrationRunsAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, nil)
	interrupt := map[string]func(cancel func(), admin *pgx.Conn){
		"cancelled": func(cancel func(), admin *pgx.Conn) { cancel() },
		"connection lost": func(cancel func(), admin *pgx.Conn) {
			_, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			must(t, err)
		},
	}
	for name, interrupt := range interrupt {
		admin := connect(t, url)
		_, err := admin.Exec(t.Context(), `SELECT pg_advisory_lock(1)`)
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			pool, err := pgdb.Open(ctx, url, "half", migrations)
			if err == nil {
				pool.Close()
			}
			failed <- err
		}()
		await(t, admin, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)`)
		interrupt(cancel, admin)
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "migrate half") {
			t.Errorf("%s: error %v", name, err)
		}
		cancel()
		must(t, admin.Close(t.Context()))
	}
	pool := open(t, url, "half")
	expect(t, pool, `SELECT (SELECT string_agg(n::text, ',') FROM one) || ' ' || string_agg(n::text, ',' ORDER BY n) FROM two`, "2 2,3")
}

func TestReplicaWithoutTheRightToCreateSchemasUsesAnExistingOne(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, nil)
	open(t, url, "mine")
	admin := connect(t, url)
	_, err := admin.Exec(t.Context(), `DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN; GRANT USAGE ON SCHEMA mine TO PUBLIC;
		GRANT SELECT ON ALL TABLES IN SCHEMA mine TO PUBLIC`)
	must(t, err)
	pool := open(t, strings.Replace(url, "//postgres@", "//plain@", 1), "mine")
	expect(t, pool, `SELECT current_user::text`, "plain")
}

func TestServicesShareADatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, nil)
	mine, other := open(t, url, "mine"), open(t, url, "other")
	_, err := mine.Exec(t.Context(), `DELETE FROM two`)
	must(t, err)
	expect(t, other, `SELECT count(*)::text FROM two`, "2")
	expect(t, mine, `SELECT count(*)::text FROM two`, "0")
	expect(t, mine, `SHOW search_path`, `"mine", public`)
}

func TestURLOverridesTheDefaults(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, nil)
	pool := open(t, url, "mine")
	expect(t, pool, `SELECT concat_ws(' ', current_setting('application_name'), current_setting('statement_timeout'),
		current_setting('idle_in_transaction_session_timeout'), current_setting('lock_timeout'))`, "mine 5min 30s 0")
	if n := pool.Config().MaxConns; n != 10 {
		t.Errorf("%d connections at most", n)
	}
	pool = open(t, url+"&pool_max_conns=3&statement_timeout=7s&application_name=replica-1", "mine")
	expect(t, pool, `SELECT concat_ws(' ', current_setting('application_name'), current_setting('statement_timeout'))`, "replica-1 7s")
	if n := pool.Config().MaxConns; n != 3 {
		t.Errorf("%d connections at most", n)
	}
}

func TestPasswordFromTheEnvironment(t *testing.T) {
	// Characters that mean something else in a URL.
	t.Setenv("PGPASSWORD", "p@ss/w#rd%")
	pool := open(t, pgtest.Database(t, nil), "mine")
	if got := pool.Config().ConnConfig.Password; got != "p@ss/w#rd%" {
		t.Errorf("the password is %q", got)
	}
}

// password is in every URL of the next test.
const password = "hunter2/%zz"

func TestNoErrorContainsThePassword(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	for _, url := range []string{
		"postgres://keytrail:" + password + "@127.0.0.1/keytrail",
		"postgres://keytrail:hunter2@127.0.0.1:port/keytrail",
		"postgres://keytrail:hunter2@127.0.0.1:1/keytrail?sslmode=hunter2",
		"postgres://keytrail:hunter2@127.0.0.1/keytrail?pool_max_conns=hunter2",
		"postgres:/keytrail:hunter2@[::1/keytrail",
		"host=127.0.0.1 password='hunter2",
		"keytrail:hunter2@127.0.0.1",
		"postgres://keytrail:hunter2@" + closed.Addr().String() + "/keytrail",
		"postgres://127.0.0.1:1/keytrail?user=keytrail&password=hunter2",
	} {
		_, err := pgdb.Open(t.Context(), url, "mine", migrations)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error of %s is %q", url, err)
		}
	}
}

func TestLostDatabaseIsUnavailable(t *testing.T) {
	_, err := pgdb.Open(t.Context(), "postgres://keytrail@127.0.0.1:1/keytrail", "mine", migrations)
	if kind := fault.KindOf(pgdb.Unavailable(t.Context(), err)); kind != fault.Unavailable {
		t.Errorf("a refused connection is of kind %v: %v", kind, err)
	}
	pool := open(t, pgtest.Database(t, nil), "mine")
	_, err = pool.Exec(t.Context(), `SELECT pg_terminate_backend(pg_backend_pid())`)
	if kind := fault.KindOf(pgdb.Unavailable(t.Context(), err)); kind != fault.Unavailable {
		t.Errorf("a lost connection is of kind %v: %v", kind, err)
	}
	if _, err = pool.Exec(t.Context(), `SELECT nonsense`); pgdb.Unavailable(t.Context(), err) != err {
		t.Errorf("the error of a wrong statement has changed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = pool.Exec(ctx, `SELECT 1`); pgdb.Unavailable(ctx, err) != err || !errors.Is(err, context.Canceled) {
		t.Errorf("the error of a cancelled call has changed: %v", err)
	}
}

func TestStatementOverItsTimeIsLate(t *testing.T) {
	conn, err := open(t, pgtest.Database(t, nil), "mine").Acquire(t.Context())
	must(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), `SET statement_timeout = '20ms'`)
	must(t, err)
	_, err = conn.Exec(t.Context(), `SELECT pg_sleep(3600)`)
	err = pgdb.Unavailable(t.Context(), err)
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Reason != fault.StoreLate {
		t.Errorf("a statement over its time: %v, want the reason %v", err, fault.StoreLate)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if pgdb.Unavailable(ctx, err) != err {
		t.Error("the error of a statement over its time has changed although the caller has cancelled the call")
	}
}

func TestPlaintextHostFindsConnectionsOverANetwork(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGSSLMODE", "PGSERVICE", "PGSERVICEFILE"} {
		t.Setenv(name, "")
	}
	for url, host := range map[string]string{
		"postgres://keytrail@db:5432/keytrail":                                      "db",
		"postgres://keytrail@db:5432/keytrail?sslmode=prefer":                       "db",
		"postgres://keytrail@db:5432/keytrail?sslmode=allow":                        "db",
		"postgres://keytrail@db:5432/keytrail?sslmode=disable":                      "db",
		"postgres://keytrail@db:5432/keytrail?sslmode=require":                      "",
		"postgres://keytrail@db:5432/keytrail?sslmode=verify-full":                  "",
		"postgres://keytrail@127.0.0.1:5432,db:5432/keytrail":                       "db",
		"postgres://keytrail@127.0.0.1/keytrail":                                    "",
		"postgres://keytrail@localhost/keytrail?sslmode=disable":                    "",
		"postgres://keytrail@[::1]/keytrail":                                        "",
		"postgres:///keytrail?host=/run/postgresql&sslmode=disable":                 "",
		"host=10.0.0.5 user=keytrail":                                               "10.0.0.5",
		"postgres://keytrail@localhost.example.com/keytrail?sslmode=disable":        "localhost.example.com",
		"postgres://keytrail@127.0.0.1/keytrail?host=192.0.2.1&sslmode=disable":     "192.0.2.1",
		"postgres://keytrail@db:5432/keytrail?sslmode=require&host=/run/postgresql": "",
	} {
		if got, err := pgdb.PlaintextHost(url); err != nil || got != host {
			t.Errorf("%s: %q, %v; want %q", url, got, err, host)
		}
	}
	if _, err := pgdb.PlaintextHost("postgres://keytrail:hunter2@db:port/keytrail"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error of a bad URL is %q", err)
	}
}

func open(t *testing.T, url, schema string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgdb.Open(t.Context(), url, schema, migrations)
	must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// await waits until the query returns true.
func await(t *testing.T, conn *pgx.Conn, query string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < time.Minute; <-tick.C {
		var holds bool
		must(t, conn.QueryRow(t.Context(), query).Scan(&holds))
		if holds {
			return
		}
	}
	t.Fatalf("never true: %s", query)
}

func expect(t *testing.T, pool *pgxpool.Pool, query, want string) {
	t.Helper()
	var got *string
	if err := pool.QueryRow(t.Context(), query).Scan(&got); err != nil || got == nil || *got != want {
		t.Errorf("%s: %v, %v, want %q", query, got, err, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
