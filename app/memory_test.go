package app

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestMemoryLimitIsThatOfTheContainer(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for name, tt := range map[string]struct {
		environment string
		container   memlimit.Provider
		want        int64
		logs        string
	}{
		"a limit":           {"", memlimit.Limit(1 << 30), 966367641, "bytes=966367641"},
		"no limit":          {"", func() (uint64, error) { return 0, memlimit.ErrNoLimit }, math.MaxInt64, "not limited"},
		"no cgroup":         {"", func() (uint64, error) { return 0, memlimit.ErrCgroupsNotSupported }, before, "level=INFO"},
		"cannot be read":    {"", func() (uint64, error) { return 0, errors.New("no such file") }, before, "level=WARN"},
		"GOMEMLIMIT is set": {"512MiB", memlimit.Limit(1 << 30), before, "memory is"},
	} {
		debug.SetMemoryLimit(before)
		t.Setenv("GOMEMLIMIT", tt.environment)
		if tt.environment == "" {
			os.Unsetenv("GOMEMLIMIT") // t.Setenv restores it
		}
		logged := &bytes.Buffer{}
		limitMemory(slog.New(slog.NewTextHandler(logged, nil)), tt.container)
		if got := debug.SetMemoryLimit(-1); got != tt.want || !strings.Contains(logged.String(), tt.logs) {
			t.Errorf("%s: the limit is %d, want %d; logged %q, want %q", name, got, tt.want, logged, tt.logs)
		}
	}
}
