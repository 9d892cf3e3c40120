package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// rotatedCalls is how many calls the tests of rotation make. Caddy begins a new file every 200 of them.
const rotatedCalls = 600

// expectAfterRotation makes calls at the same time. Some of them rotate the log, and in the middle the reporter is killed and
// started again. It expects that every call becomes one row.
func (f *front) expectAfterRotation(format string, rotate func(n int)) {
	f.t.Helper()
	flags := []string{"--format", format, "--file", f.Log, "--state", filepath.Join(f.Dir, "state")}
	reporter := f.report(flags...)
	good, half := f.callerKey(), make(chan struct{})
	var next atomic.Int64
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for n := next.Add(1); n <= rotatedCalls; n = next.Add(1) {
				call := frontCall{path: fmt.Sprintf("/v1/agents/a1/call-%d?%s", n, strings.Repeat("x", 4000)), header: withKey(good.secret)}
				if status, _, body, err := f.send(f.t.Context(), call); status != 200 {
					f.t.Errorf("%.30s: %d %v %s", call.path, status, err, body)
				}
				if n%100 == 50 {
					rotate(int(n))
				}
				if n == rotatedCalls/2 {
					close(half)
				}
			}
		})
	}
	<-half
	must(f.t, reporter.Process.Kill())
	_ = reporter.Wait() // it reports the signal
	f.report(flags...)
	running.Wait()
	rows, lines := f.awaitReports(rotatedCalls), f.lines()
	if files, err := filepath.Glob(filepath.Join(f.Dir, "access*log*")); err != nil || len(files) < 3 {
		f.t.Errorf("%d files of the log, want 3 or more: %v", len(files), err)
	}
	for n := 1; n <= rotatedCalls; n++ {
		call := frontCall{path: fmt.Sprintf("/v1/agents/a1/call-%d", n), status: 200, key: &good}
		f.expectRow(call, rows[call.path], lines[call.path])
	}
}

// TestNoCallIsLostWhenTheLogOfNginxRotates rotates as logrotate does: it renames the file and sends SIGUSR1.
func TestNoCallIsLostWhenTheLogOfNginxRotates(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	nginx := f.startNginx()
	var rotating sync.Mutex
	f.expectAfterRotation("nginx", func(n int) {
		rotating.Lock()
		defer rotating.Unlock()
		if err := os.Rename(f.Log, fmt.Sprintf("%s.%d", f.Log, n)); err != nil {
			t.Error(err)
		}
		if err := nginx.Signal(syscall.SIGUSR1); err != nil {
			t.Error(err)
		}
		// A second rename before nginx opens its new log would find no file.
		ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
		defer cancel()
		for _, err := os.Stat(f.Log); err != nil && ctx.Err() == nil; _, err = os.Stat(f.Log) {
			pause(ctx, 5*time.Millisecond)
		}
	})
}

// TestNoCallIsLostWhenTheLogOfCaddyRotates: Caddy rotates by itself.
func TestNoCallIsLostWhenTheLogOfCaddyRotates(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.startCaddy()
	f.expectAfterRotation("caddy", func(int) {})
}
