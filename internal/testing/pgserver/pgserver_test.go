package pgserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgserver"
)

func TestServerKeepsWhatItAcknowledgedThroughACrash(t *testing.T) {
	t.Parallel()
	server := start(t)
	const rows = 500
	conn := connect(t, server)
	_, err := conn.Exec(t.Context(), `CREATE TABLE t (n int)`)
	must(t, err)
	for n := range rows {
		if _, err := conn.Exec(t.Context(), `INSERT INTO t VALUES ($1)`, n); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []pgserver.Mode{pgserver.Immediate, pgserver.Fast} {
		must(t, server.Restart(t.Context(), mode))
		var found int
		must(t, connect(t, server).QueryRow(t.Context(), `SELECT count(*) FROM t`).Scan(&found))
		if found != rows {
			t.Errorf("%d of %d rows are left", found, rows)
		}
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a connection has outlived a restart")
	}
}

func TestStoppedServerLeavesNothing(t *testing.T) {
	dir := enterable(t)
	t.Setenv("TMPDIR", dir)
	server, err := pgserver.Start(t.Context(), pgserver.Options{Durable: true})
	skipWithout(t, err)
	must(t, err)
	var fsync string
	must(t, connect(t, server).QueryRow(t.Context(), `SHOW fsync`).Scan(&fsync))
	if fsync != "on" {
		t.Errorf("fsync of a durable server is %s", fsync)
	}
	must(t, server.Stop())
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := pgx.Connect(t.Context(), server.URL("postgres")); err == nil {
		t.Error("a stopped server accepts connections")
	}
}

func TestBinariesThatTheEnvironmentNamesAreTheOnlyOnes(t *testing.T) {
	t.Setenv(pgserver.BinariesVariable, t.TempDir())
	_, err := pgserver.Start(t.Context(), pgserver.Options{})
	if !errors.Is(err, pgserver.ErrNoBinaries) || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("error %v, want ErrNoBinaries", err)
	}
}

func TestServerThatCannotStartReturnsTheEndOfItsLog(t *testing.T) {
	dir := enterable(t)
	t.Setenv("TMPDIR", dir)
	server := start(t)
	must(t, server.Down(pgserver.Fast))
	versions, err := filepath.Glob(filepath.Join(dir, "*", "data", "PG_VERSION"))
	must(t, err)
	if len(versions) != 1 {
		t.Fatalf("found %q", versions)
	}
	must(t, os.Remove(versions[0]))
	if err := server.Up(t.Context()); err == nil || !strings.Contains(err.Error(), "is not a valid data directory") {
		t.Errorf("error %v, want the log of the server", err)
	}
}

// parentVariable makes the test binary start a server, print its URL and wait to be killed.
const parentVariable = "PGSERVER_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) == "" {
		m.Run()
		return
	}
	if server, err := pgserver.Start(context.Background(), pgserver.Options{}); err == nil {
		fmt.Println(server.URL("postgres"))
		select {}
	}
}

func TestServerDiesWithAKilledParent(t *testing.T) {
	t.Parallel()
	start(t) // skips the test where there is no Postgres
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"=1", "TMPDIR="+enterable(t))
	output, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	address, err := bufio.NewReader(output).ReadString('\n')
	must(t, err)
	conn, err := pgx.Connect(t.Context(), strings.TrimSpace(address))
	must(t, err)

	must(t, parent.Process.Kill())
	parent.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := conn.WaitForNotification(ctx); err == nil || ctx.Err() != nil {
		t.Error("the server goes on without its parent")
	}
}

// enterable returns a folder that the server's user can enter. Its path is short, because that of a Unix socket is limited.
func enterable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func start(t *testing.T) *pgserver.Server {
	t.Helper()
	server, err := pgserver.Start(t.Context(), pgserver.Options{})
	skipWithout(t, err)
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	return server
}

// skipWithout skips the test where there is no Postgres; in CI that is a failure.
func skipWithout(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, pgserver.ErrNoBinaries) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
}

func connect(t *testing.T, server *pgserver.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	must(t, err)
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
