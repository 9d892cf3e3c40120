package e2e

import (
	"path/filepath"
	"testing"

	"github.com/keytrail/keytrail/internal/testing/proxytest"
)

// startCaddy starts Caddy with the documented configuration.
func (f *front) startCaddy() {
	f.t.Helper()
	f.parse = proxytest.ParseCaddy
	cmd, err := f.Caddy()
	must(f.t, err)
	f.run(cmd)
	f.awaitProxy()
}

func TestCaddyCompletesEveryRow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.startCaddy()
	f.report("--format", "caddy", "--file", f.Log, "--state", filepath.Join(f.Dir, "state"))
	f.expect(f.withMore(f.calls()))
	must(t, f.stop())
	f.expectUnavailable()
}

func TestCaddyRefusesCallsWhileTheGatewayHangs(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.hang()
	f.startCaddy()
	f.expectUnavailable()
}
