package pgserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
	t.Parallel()
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		dir = enterable(t)
	}
	server, err := pgserver.Start(t.Context(), pgserver.Options{Dir: dir, Durable: true, Settings: []string{"shared_buffers=16MB"}})
	skipWithout(t, err)
	must(t, err)
	var shared string
	must(t, connect(t, server).QueryRow(t.Context(), `SHOW shared_buffers`).Scan(&shared))
	if shared != "16MB" {
		t.Errorf("shared_buffers is %s", shared)
	}
	must(t, server.Stop())
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := pgx.Connect(t.Context(), server.URL("postgres")); err == nil {
		t.Error("a stopped server answers")
	}
}

func TestBinariesThatTheEnvironmentNamesAreTheOnlyOnes(t *testing.T) {
	t.Setenv(pgserver.BinariesVariable, t.TempDir())
	_, err := pgserver.Start(t.Context(), pgserver.Options{})
	if !errors.Is(err, pgserver.ErrNoBinaries) || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("error %v, want ErrNoBinaries", err)
	}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := pgserver.Start(t.Context(), pgserver.Options{Settings: []string{"shared_buffers=nonsense"}})
	skipWithout(t, err)
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
		t.Errorf("error %v, want what the server's log says", err)
	}
}

// parentVariable makes the test binary a parent of a server, whose address it prints before it waits to be killed.
const parentVariable = "PGSERVER_TEST_PARENT"

func TestMain(m *testing.M) {
	dir := os.Getenv(parentVariable)
	if dir == "" {
		m.Run()
		return
	}
	if server, err := pgserver.Start(context.Background(), pgserver.Options{Dir: dir}); err == nil {
		fmt.Println(server.URL("postgres"))
		select {}
	}
}

func TestServerDiesWithAKilledParent(t *testing.T) {
	t.Parallel()
	start(t) // where there is no Postgres, this skips
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+enterable(t))
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

// enterable is a folder that the server's user can enter, under a short name.
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
