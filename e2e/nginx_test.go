package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keytrail/keytrail/internal/testing/proxytest"
)

// startNginx starts nginx with the documented configuration.
func (f *front) startNginx() *os.Process {
	f.t.Helper()
	f.parse = proxytest.ParseNginx
	cmd, err := f.Nginx()
	must(f.t, err)
	f.run(cmd)
	f.awaitProxy()
	return cmd.Process
}

// TestNginxCompletesEveryRow sends the log over a syslog socket, too.
func TestNginxCompletesEveryRow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	socket := filepath.Join(f.Dir, "log.sock")
	f.report("--format", "nginx", "--syslog", "unix://"+socket)
	f.await(func() bool { _, err := os.Stat(socket); return err == nil }, func() any { return socket })
	syslog, err := f.Block("nginx.md", "nginx", 1)
	must(t, err)
	f.MoreLog = strings.Replace(syslog, "/run/keytrail/access.sock", socket, 1)
	f.startNginx()
	f.expect(f.withMore(f.calls()))
	must(t, f.stop())
	f.expectUnavailable()
}

func TestNginxRefusesCallsWhileTheGatewayHangs(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.hang()
	f.startNginx()
	f.expectUnavailable()
}
