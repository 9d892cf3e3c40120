package e2e

import (
	"context"
	"fmt"
	"hash/crc32"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// startingService is a service whose start waits, because another session holds the lock of its migrations.
type startingService struct {
	name  string
	flags []string
	ops   string
	// release lets the start continue.
	release func()
}

func startingServices(t *testing.T) []startingService {
	t.Helper()
	url, logsAddr := pgtest.Database(t, nil), stableAddr(t)
	_, keyFile := newSigner(t)
	flags := map[string][]string{
		"authsvc": {"--database-url", url, "--auth-addr", stableAddr(t), "--logs-addr", logsAddr, "--trail-dir", t.TempDir(),
			"--token-keys", keyFile, "--signing-key", keyFile},
		"logsvc": {"--database-url", url, "--logs-addr", logsAddr, "--token-keys", keyFile},
	}
	all := []startingService{{name: "authsvc"}, {name: "logsvc"}}
	for i, schema := range []string{"keytrail_auth", "keytrail_logs"} {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		// The lock of the migrations of a schema, as in internal/pgdb.
		lock := int64(crc32.ChecksumIEEE([]byte("keytrail " + schema)))
		if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, lock); err != nil {
			t.Fatal(err)
		}
		all[i].flags, all[i].ops = flags[all[i].name], stableAddr(t)
		all[i].release = func() {
			if err := conn.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	return all
}

// expectStarting waits until the ops port says that the service migrates its schema, and expects it to be alive.
func (s startingService) expectStarting(t *testing.T, printed func() string) {
	t.Helper()
	got := ""
	await(t, waitTimeout, func() bool {
		code, text, err := getOps(s.ops, "/readyz")
		got = fmt.Sprint(code, text, err)
		return code == http.StatusServiceUnavailable && strings.Contains(text, "starting: migrating the schema")
	}, func() any { return s.name + ": /readyz: " + got + "\n" + printed() })
	if code, text, err := getOps(s.ops, "/healthz"); code != http.StatusOK {
		t.Errorf("%s: /healthz: %d %s %v", s.name, code, text, err)
	}
	if ready, exported := metric(s.ops, "keytrail_ready"); !exported || ready != 0 {
		t.Errorf("%s: keytrail_ready is %v, exported %v", s.name, ready, exported)
	}
}

func TestStartingServiceIsAliveAndSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	for _, s := range startingServices(t) {
		d := newDaemon(t, s.name, s.ops, s.flags...)
		if err := d.up(); err != nil {
			t.Fatal(err)
		}
		s.expectStarting(t, d.printed.String)
		s.release()
		d.awaitReady()
		if text := d.printed.String(); strings.Contains(text, "exited unexpectedly") {
			t.Errorf("%s has restarted:\n%s", s.name, text)
		}
	}
}

func TestStartingServiceEndsOnSIGTERM(t *testing.T) {
	t.Parallel()
	for _, s := range startingServices(t) {
		printed := &output{}
		ctx, cancel := context.WithTimeout(t.Context(), 2*waitTimeout)
		process := exec.CommandContext(ctx, binary(t), append([]string{s.name, "--ops-addr", s.ops}, s.flags...)...)
		process.Stdout, process.Stderr = printed, printed
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		s.expectStarting(t, printed.String)
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		// It is killed at the end of the timeout. Otherwise it ends by itself, and says what it was doing.
		err := process.Wait()
		if ctx.Err() != nil || process.ProcessState.ExitCode() != 1 || !strings.Contains(printed.String(), "open the ") {
			t.Errorf("%s: %v, %v\n%s", s.name, err, ctx.Err(), printed)
		}
		cancel()
	}
}
