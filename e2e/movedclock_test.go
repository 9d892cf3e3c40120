package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/logsvc"
)

// clockVariable makes the test binary run a service whose clock is off, as the file that it names says.
const clockVariable = "KEYTRAIL_E2E_CLOCK"

// clock is a file with the offset of the clock of a service, which can be moved while the service runs.
type clock string

func newClock(t *testing.T) clock {
	t.Helper()
	c := clock(filepath.Join(t.TempDir(), "clock"))
	if err := c.move(0); err != nil {
		t.Fatal(err)
	}
	return c
}

// move sets the offset from the right time.
func (c clock) move(offset time.Duration) error {
	next := string(c) + ".next"
	if err := os.WriteFile(next, []byte(offset.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(next, string(c))
}

func (c clock) now() time.Time {
	text, err := os.ReadFile(string(c))
	if err != nil {
		panic(err)
	}
	offset, err := time.ParseDuration(string(text))
	if err != nil {
		panic(err)
	}
	return time.Now().Add(offset)
}

// newDaemon is newDaemon for the auth service or the log service with this clock. It runs the test binary, because the
// command has only the clock of the machine.
func (c clock) newDaemon(t *testing.T, name, ops string, flags ...string) *daemon {
	t.Helper()
	d := newDaemonOf(t, os.Args[0], name, ops, flags...)
	d.environment = []string{clockVariable + "=" + string(c)}
	return d
}

// serve runs the service of a command line until it fails or gets a SIGTERM.
func (c clock) serve(args []string) error {
	var command struct {
		Authsvc app.AuthConfig `cmd:""`
		Logsvc  app.LogsConfig `cmd:""`
	}
	// The same defaults as of the command.
	parser, err := kong.New(&command, kong.Vars{
		"retention": logsvc.DefaultRetention.String(), "search_budget": logsvc.DefaultSearchBudget.String(),
		"max_staleness": app.DefaultMaxStaleness.String(), "unproved_rows": strconv.Itoa(authsvc.DefaultUnprovedRows),
		"max_keys": strconv.Itoa(authsvc.DefaultMaxKeys), "max_key_bytes": strconv.Itoa(authsvc.DefaultMaxKeyBytes),
	})
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var server *app.Server
	switch parsed.Command() {
	case "authsvc":
		server, err = app.NewAuthServer(ctx, command.Authsvc, log, c.now)
	case "logsvc":
		server, err = app.NewLogsServer(ctx, command.Logsvc, log, c.now)
	default:
		return fmt.Errorf("%s has no clock", parsed.Command())
	}
	if err != nil {
		return err
	}
	return server.Run(ctx)
}
