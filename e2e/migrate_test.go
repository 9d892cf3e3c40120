package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
	logsqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

// TestMigrationToPostgresSurvivesKills migrates as an operator who makes every mistake.
func TestMigrationToPostgresSurvivesKills(t *testing.T) {
	t.Parallel()
	dir, url := t.TempDir(), pgtest.Database(t, nil)
	p := startProcess(t, dir)
	binary, k := p.cmd.Path, key{secret: p.createKey()}
	p.checks = authv1.NewCheckServiceClient(dial(t, p.auth, p.credentials()))
	open := p.check(k, &authv1.CheckRequest{Endpoint: "/in/flight"})

	expectRefusal(t, binary, dir, url, "in use by another process; `keytrail serve` must not run")
	// The row stays on the trail for a second.
	p.check(k, &authv1.CheckRequest{Endpoint: "/last"})
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // it was killed
	expectRefusal(t, binary, dir, url, "request logs wait on the trail: start `keytrail serve --data-dir "+dir+"` once more")
	p = startProcess(t, dir)
	p.terminate()
	p.expectEnd()

	const rows = 14_000
	fillLogs(t, dir, rows)
	kills := killMigrations(t, binary, dir, url, rows)
	code, out, errs := runMigrate(t, binary, dir, url)
	if code != 0 || strings.Contains(out, "DIFFERENT") || !strings.Contains(out, "equal") {
		t.Fatalf("after %d kills: exit code %d\n%s%s", kills, code, out, errs)
	}
	if got := countRows(t, url); got != rows+2 {
		t.Errorf("%d request logs at the target, want %d", got, rows+2)
	}

	s, _ := replica(t, url, replicaOptions{})
	if answer := s.check(k, &authv1.CheckRequest{}); !answer.GetAllowed() {
		t.Errorf("the key is denied at the target: %v", answer)
	}
	outcome := &authv1.Outcome{ReportToken: open.GetReportToken(), Status: 202, LatencyMs: new(float64(5))}
	if _, err := s.checks.Report(t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{outcome}}); err != nil {
		t.Fatal(err)
	}
	if row := s.row("acme", open.GetRequestLogId(), reported); row["status"] != 202.0 || row["endpoint"] != "/in/flight" {
		t.Errorf("the call in flight: %v", row)
	}
	// The source does not have the report.
	code, out, errs = runMigrate(t, binary, dir, url)
	if code != 1 || strings.Count(out, "DIFFERENT") != 1 || !strings.Contains(errs, "source and target differ") {
		t.Errorf("a migration to a target in use: exit code %d\n%s%s", code, out, errs)
	}
}

func migrateCommand(ctx context.Context, binary, dir, url string) *exec.Cmd {
	return exec.CommandContext(ctx, binary, "migrate", "--from", dir, "--to", url)
}

// runMigrate runs `keytrail migrate` and waits for it.
func runMigrate(t *testing.T, binary, dir, url string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := migrateCommand(t.Context(), binary, dir, url)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func expectRefusal(t *testing.T, binary, dir, url, want string) {
	t.Helper()
	if code, out, errs := runMigrate(t, binary, dir, url); code != 1 || out != "" || !strings.Contains(errs, want) {
		t.Errorf("exit code %d, %q, %q; want %q", code, out, errs, want)
	}
}

// barrier blocks the inserts of a migration once the target has a number of rows. So a migration cannot finish before
// it is killed, even if the test is slow.
type barrier struct {
	t    *testing.T
	conn *pgx.Conn
}

// newBarrier creates the schema of the log service and a closed barrier on its table.
func newBarrier(t *testing.T, url string) *barrier {
	t.Helper()
	store, err := logspostgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	b := &barrier{t, conn}
	b.run(`CREATE TABLE barrier AS SELECT -1 AS goal;
		CREATE FUNCTION wait_at_barrier() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
			PERFORM pg_advisory_xact_lock(1);
			WHILE (SELECT count(*) FROM keytrail_logs.request_logs) > (SELECT goal FROM public.barrier) LOOP PERFORM pg_sleep(0.01); END LOOP;
			RETURN NULL;
		END';
		CREATE TRIGGER barrier BEFORE INSERT ON keytrail_logs.request_logs EXECUTE FUNCTION public.wait_at_barrier()`)
	return b
}

func (b *barrier) run(statements string) {
	b.t.Helper()
	if _, err := b.conn.Exec(b.t.Context(), statements); err != nil {
		b.t.Fatal(err)
	}
}

// open allows inserts until there are more rows than goal.
func (b *barrier) open(goal int) {
	b.t.Helper()
	b.run(fmt.Sprint(`UPDATE barrier SET goal = `, goal))
}

// clear terminates the backends of a killed migration.
func (b *barrier) clear() {
	b.t.Helper()
	b.run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
}

// killMigrations kills migrations until half of the rows have arrived, each after some more rows than before. It returns
// the number of kills. The next migration runs while Postgres still stores the last page of the killed one.
func killMigrations(t *testing.T, binary, dir, url string, rows int) (kills int) {
	t.Helper()
	random := rand.New(rand.NewPCG(6, 6))
	b := newBarrier(t, url)
	for arrived := 0; arrived < rows/2; kills++ {
		b.clear()
		goal := arrived + random.IntN(rows/6)
		b.open(goal)
		ctx, kill := context.WithTimeout(t.Context(), 2*waitTimeout)
		cmd := migrateCommand(ctx, binary, dir, url)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		tick := time.NewTicker(5 * time.Millisecond)
		for arrived <= goal && ctx.Err() == nil {
			<-tick.C
			arrived = countRows(t, url)
		}
		tick.Stop()
		kill()
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("a migration was not killed in time: %v", err)
		}
	}
	b.open(2 * rows) // no limit for the last migration
	return kills
}

// countRows returns the number of request logs at the target.
func countRows(t *testing.T, url string) (count int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM keytrail_logs.request_logs`).Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}

// fillLogs stores request logs of several workspaces in a data folder.
func fillLogs(t *testing.T, dir string, count int) {
	t.Helper()
	store, err := logsqlite.Open(t.Context(), filepath.Join(dir, "logs.db"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	entries := make([]logsvc.Entry, count)
	for i := range entries {
		entries[i] = logsvc.Entry{
			ID: uuid7.New(now.Add(-time.Duration(i) * time.Minute)), WorkspaceID: fmt.Sprint("ws-", i%7), Endpoint: fmt.Sprint("/", i),
			Status: 200, CallCount: 1,
		}
	}
	if err := store.Record(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
