package e2e

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// daemon is the built command at addresses of its own, which can be killed and comes back to them. One that ends by
// itself is started again, as a supervisor would.
type daemon struct {
	t *testing.T
	// name is its subcommand.
	name    string
	command []string
	// attributes are how the operating system starts it; nil = as any process.
	attributes *syscall.SysProcAttr
	// ops is its ops address.
	ops     string
	printed output
	// kill ends the run of it that is under way; nil = it is down.
	kill func()
}

// newDaemon makes a daemon that is down. Its ops port is one of the flags.
func newDaemon(t *testing.T, name, ops string, flags ...string) *daemon {
	t.Helper()
	return newDaemonOf(t, binary(t), name, ops, flags...)
}

// newDaemonOf is newDaemon of any release's command.
func newDaemonOf(t *testing.T, command, name, ops string, flags ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, name: name, ops: ops, command: append([]string{command, name, "--ops-addr", ops}, flags...)}
	t.Cleanup(func() {
		d.down()
		if text := d.printed.String(); strings.Contains(text, "panic:") || strings.Contains(text, "fatal error:") {
			t.Errorf("%s broke:\n%s", name, text)
		}
		if t.Failed() {
			text := d.printed.String()
			t.Logf("%s wrote, at the end:\n%s", name, text[max(0, len(text)-3000):])
		}
	})
	return d
}

// down kills it with SIGKILL.
func (d *daemon) down() error {
	if d.kill != nil {
		d.kill()
		d.kill = nil
	}
	return nil
}

// up starts it where it is down, and does not wait for what comes of it.
func (d *daemon) up() error {
	if d.kill != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { d.supervise(ctx) })
	d.kill = func() {
		cancel()
		run.Wait()
	}
	return nil
}

// supervise runs it until ctx ends.
func (d *daemon) supervise(ctx context.Context) {
	for ctx.Err() == nil {
		run := exec.CommandContext(ctx, d.command[0], d.command[1:]...)
		run.Stdout, run.Stderr, run.SysProcAttr = &d.printed, &d.printed, d.attributes
		if err := run.Run(); ctx.Err() == nil {
			fmt.Fprintf(&d.printed, "%s has ended by itself: %v\n", d.name, err)
			pause(ctx, 50*time.Millisecond)
		}
	}
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// awaitReady waits until /readyz answers 200.
func (d *daemon) awaitReady() {
	d.t.Helper()
	await(d.t, patience, func() bool {
		resp, err := http.Get("http://" + d.ops + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, func() any { return d.name + " is not ready:\n" + d.printed.String() })
}

// metric reads one number of the /metrics of a process; ok is false where nobody tells it.
func metric(ops, name string) (value float64, ok bool) {
	resp, err := http.Get("http://" + ops + "/metrics")
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), name+" "); found {
			value, err := strconv.ParseFloat(text, 64)
			return value, err == nil
		}
	}
	return 0, false
}

// count is metric for a daemon that is up.
func (d *daemon) count(name string) int {
	d.t.Helper()
	value, ok := metric(d.ops, name)
	if !ok {
		d.t.Fatalf("%s does not tell %s", d.name, name)
	}
	return int(value)
}

// awaitShipped waits until no row waits on the trail of the process with this ops port.
func awaitShipped(t *testing.T, ops string) {
	t.Helper()
	waiting, ok := 0.0, false
	await(t, 3*patience, func() bool {
		waiting, ok = metric(ops, "keytrail_trail_waiting_bytes")
		return ok && waiting == 0
	}, func() any { return fmt.Sprint(waiting, " bytes on the trail") })
}

// firstPort differs between test binaries that run at once; nextPort counts from there.
var (
	firstPort = rand.Int64N(20_000)
	nextPort  atomic.Int64
)

// stableAddr answers a loopback address that a process can come back to: its port is none of those that the system
// gives to whoever asks for any.
func stableAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		// No two tests have the same, even while nobody listens there.
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+(firstPort+nextPort.Add(1))%20_000)
		if listener, err := net.Listen("tcp", addr); err == nil {
			listener.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}
