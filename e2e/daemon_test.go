package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// daemon is a keytrail process with fixed addresses that can be killed and restarted. It is restarted if it exits, as
// by a supervisor.
type daemon struct {
	t *testing.T
	// name is the subcommand.
	name    string
	command []string
	// attributes are passed to exec.Cmd; nil for none.
	attributes *syscall.SysProcAttr
	// environment is added to that of the test.
	environment []string
	// ops is the address of its ops port.
	ops     string
	printed output
	// kill stops the supervised process; nil if the daemon is down.
	kill func()
	// process is the latest process, and starts counts them.
	process atomic.Pointer[os.Process]
	starts  atomic.Int64
}

// newDaemon returns a daemon that is down. It adds --ops-addr to the flags.
func newDaemon(t *testing.T, name, ops string, flags ...string) *daemon {
	t.Helper()
	return newDaemonOf(t, binary(t), name, ops, flags...)
}

// newDaemonOf is newDaemon for the command of any release.
func newDaemonOf(t *testing.T, command, name, ops string, flags ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, name: name, ops: ops, command: append([]string{command, name, "--ops-addr", ops}, flags...)}
	t.Cleanup(func() {
		d.down()
		if text := d.printed.String(); strings.Contains(text, "panic:") || strings.Contains(text, "fatal error:") {
			t.Errorf("%s crashed:\n%s", name, text)
		}
		if t.Failed() {
			text := d.printed.String()
			t.Logf("end of the log of %s:\n%s", name, text[max(0, len(text)-3000):])
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

// up starts it if it is down, without waiting until it is ready.
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
		run.Env = append(os.Environ(), d.environment...)
		err := run.Start()
		if err == nil {
			d.process.Store(run.Process)
			d.starts.Add(1)
			err = run.Wait()
		}
		if ctx.Err() == nil {
			fmt.Fprintf(&d.printed, "%s exited unexpectedly: %v\n", d.name, err)
			pause(ctx, 50*time.Millisecond)
		}
	}
}

// signal sends a signal to the process, if there is one.
func (d *daemon) signal(signal syscall.Signal) error {
	process := d.process.Load()
	if process == nil {
		return nil
	}
	if err := process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to %s: %w", signal, d.name, err)
	}
	return nil
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// restart stops it in an orderly way, and waits until its successor is ready.
func (d *daemon) restart() {
	d.t.Helper()
	before := d.starts.Load()
	if err := d.signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	await(d.t, waitTimeout, func() bool { return d.starts.Load() > before }, func() any { return d.printed.String() })
	d.awaitReady()
}

// awaitReady waits until /readyz returns 200.
func (d *daemon) awaitReady() {
	d.t.Helper()
	await(d.t, waitTimeout, func() bool {
		code, _, err := getOps(d.ops, "/readyz")
		return err == nil && code == http.StatusOK
	}, func() any { return d.name + " is not ready:\n" + d.printed.String() })
}

// metric returns one value of the /metrics of a process. It reports false if the process does not export it.
func metric(ops, name string) (value float64, ok bool) {
	_, text, err := getOps(ops, "/metrics")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(text) {
		if number, found := strings.CutPrefix(line, name+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			return value, err == nil
		}
	}
	return 0, false
}

// count returns the value of a metric that the daemon must export.
func (d *daemon) count(name string) int {
	d.t.Helper()
	value, ok := metric(d.ops, name)
	if !ok {
		d.t.Fatalf("%s does not export %s", d.name, name)
	}
	return int(value)
}

// awaitShipped waits until the trail of the process with this ops address is empty.
func awaitShipped(t *testing.T, ops string) {
	t.Helper()
	waiting, ok := 0.0, false
	await(t, 3*waitTimeout, func() bool {
		waiting, ok = metric(ops, "keytrail_trail_waiting_bytes")
		return ok && waiting == 0
	}, func() any { return fmt.Sprint(waiting, " bytes on the trail") })
}

// firstPort differs between test binaries that run at once; nextPort counts from there.
var (
	firstPort = rand.Int64N(20_000)
	nextPort  atomic.Int64
)

// stableAddr returns a loopback address for a process that is restarted. Its port is outside the ephemeral range.
func stableAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		// No two tests use the same port, even while no process listens on it.
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+(firstPort+nextPort.Add(1))%20_000)
		if listener, err := net.Listen("tcp", addr); err == nil {
			listener.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}
