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
	"github.com/keytrail/keytrail/internal/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
	logsqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

// TestAMoveToPostgresSurvivesKillsAndEverythingWorksThere goes the way of an operator who makes every mistake on it.
func TestAMoveToPostgresSurvivesKillsAndEverythingWorksThere(t *testing.T) {
	t.Parallel()
	dir, url := t.TempDir(), pgtest.Database(t, nil)
	p := startProcess(t, dir)
	binary, k := p.cmd.Path, key{secret: p.createKey()}
	p.checks = authv1.NewCheckServiceClient(dial(t, p.auth, p.callers()))
	open := p.check(k, &authv1.CheckRequest{Endpoint: "/in/flight"}).GetEntry()

	expectRefusal(t, binary, dir, url, "in use by another process; `keytrail serve` must not run")
	// The row is on the trail for a second.
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
	quicken := slowDown(t, url)
	kills := killMoves(t, binary, dir, url, rows)
	quicken()
	code, out, errs := runMove(t, binary, dir, url)
	if code != 0 || strings.Contains(out, "DIFFERENT") || !strings.Contains(out, "equal") {
		t.Fatalf("after %d kills: exit code %d\n%s%s", kills, code, out, errs)
	}
	if got := countRows(t, url); got != rows+2 {
		t.Errorf("%d request logs at the target, want %d", got, rows+2)
	}

	s, _ := replica(t, url, replicaOptions{})
	if answer := s.check(k, &authv1.CheckRequest{}); !answer.GetAllowed() {
		t.Errorf("the key does not pass there: %v", answer)
	}
	outcome := &authv1.Outcome{Entry: open, Status: 202, LatencyMs: 5}
	if _, err := s.checks.Report(t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{outcome}}); err != nil {
		t.Fatal(err)
	}
	if row := s.row("acme", open.GetId(), finished); row["status"] != 202.0 || row["endpoint"] != "/in/flight" {
		t.Errorf("the call that was in flight: %v", row)
	}
	// The report is news that the source does not have.
	code, out, errs = runMove(t, binary, dir, url)
	if code != 1 || strings.Count(out, "DIFFERENT") != 1 || !strings.Contains(errs, "source and target differ") {
		t.Errorf("a move to a target that is in use: exit code %d\n%s%s", code, out, errs)
	}
}

// moveCommand is a move as a process.
func moveCommand(ctx context.Context, binary, dir, url string) *exec.Cmd {
	return exec.CommandContext(ctx, binary, "migrate", "--from", dir, "--to", url)
}

// runMove runs a move to its end.
func runMove(t *testing.T, binary, dir, url string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := moveCommand(t.Context(), binary, dir, url)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func expectRefusal(t *testing.T, binary, dir, url, want string) {
	t.Helper()
	if code, out, errs := runMove(t, binary, dir, url); code != 1 || out != "" || !strings.Contains(errs, want) {
		t.Errorf("exit code %d, %q, %q; want %q", code, out, errs, want)
	}
}

// slowDown makes the target store one page of a move after the other, a second each, until quicken is called: a move must
// not end before it is killed.
func slowDown(t *testing.T, url string) (quicken func()) {
	t.Helper()
	store, err := logspostgres.Open(t.Context(), url, time.Now)
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
	run := func(statements string) {
		if _, err := conn.Exec(t.Context(), statements); err != nil {
			t.Fatal(err)
		}
	}
	run(`CREATE FUNCTION slow_down() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN PERFORM pg_advisory_xact_lock(1), pg_sleep(1); RETURN NULL; END';
		CREATE TRIGGER slow_down BEFORE INSERT ON keytrail_logs.request_logs EXECUTE FUNCTION public.slow_down()`)
	return func() { run(`DROP TRIGGER slow_down ON keytrail_logs.request_logs`) }
}

// killMoves kills moves, each when some more rows than before have arrived, until half of them have. It answers how many
// moves were killed.
func killMoves(t *testing.T, binary, dir, url string, rows int) (kills int) {
	t.Helper()
	random := rand.New(rand.NewPCG(6, 6))
	for arrived := 0; arrived < rows/2; kills++ {
		goal := arrived + random.IntN(rows/6)
		ctx, kill := context.WithTimeout(t.Context(), 2*patience)
		cmd := moveCommand(ctx, binary, dir, url)
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
			t.Fatalf("a move was not killed in time: %v", err)
		}
	}
	return kills
}

// countRows counts the request logs at the target; there may be no table yet.
func countRows(t *testing.T, url string) (count int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var there bool
	err = conn.QueryRow(t.Context(), `SELECT to_regclass('keytrail_logs.request_logs') IS NOT NULL`).Scan(&there)
	if err == nil && there {
		err = conn.QueryRow(t.Context(), `SELECT count(*) FROM keytrail_logs.request_logs`).Scan(&count)
	}
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// fillLogs puts request logs of several workspaces into a data folder.
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
			Status: 200, Repeated: 1,
		}
	}
	if err := store.Record(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
