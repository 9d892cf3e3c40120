// Package cli implements the keytrail command: it parses flags, calls the services or package app, and prints results.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/alecthomas/kong"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/logsvc"
)

// Exit codes of the command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitDenied is the exit code of `keytrail check` for a denied call.
	exitDenied = 3
)

// commands defines the command line. Flags that say where and how to work (addresses, workspace, output, secrets, every
// flag of a service) have an environment variable KEYTRAIL_…. Flags that say what to do have none (env:"-"): a leftover
// variable must not purge logs, extend a key or change a result.
type commands struct {
	Serve           serveCommand           `cmd:"" help:"Run everything in one process, with embedded databases."`
	Authsvc         authCommand            `cmd:"" help:"Run the auth service, on Postgres."`
	Logsvc          logsvcCommand          `cmd:"" help:"Run the log service, on Postgres."`
	Gateway         gatewayCommand         `cmd:"" help:"Run the REST gateway to the two services."`
	Keys            keysCommand            `cmd:"" help:"Manage API keys."`
	Logs            logsCommand            `cmd:"" help:"Read and purge request logs."`
	Token           tokenCommand           `cmd:"" help:"Create access tokens and the keys that sign them."`
	Check           checkCommand           `cmd:"" help:"Check one call, as a backend does."`
	ReportAccessLog reportAccessLogCommand `cmd:"" help:"Report the calls in the access log of a proxy that uses forward-auth."`
	Migrate         migrateCommand         `cmd:"" help:"Copy the data of keytrail serve to Postgres."`
	Health          healthCommand          `cmd:"" help:"Report whether a service on this machine is ready."`
	Version         versionCommand         `cmd:"" help:"Print the version."`
}

// console is where a command writes: results to out, anything else to err.
type console struct{ out, err io.Writer }

// exitError is an exit code other than exitFailed. Main does not print it.
type exitError struct{ code int }

// Error implements error.
func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// Main runs a command line and returns the exit code. It returns soon after ctx is done.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	// Kong exits through this hook, e.g. after it has printed help.
	type exit int
	onExit := kong.Exit(func(code int) { panic(exit(code)) })
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(exit)
			if !ok {
				panic(p)
			}
			code = int(e)
		}
	}()
	parser, err := newParser(ctx, stdout, stderr, onExit)
	if err != nil {
		fmt.Fprintln(stderr, "keytrail:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "keytrail: %v\nTry 'keytrail --help'.\n", err)
		return exitUsage
	}
	return exitCode(command.Run(), stderr)
}

func newParser(ctx context.Context, stdout, stderr io.Writer, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(&commands{}, append(options,
		kong.Name("keytrail"),
		kong.Description("Checks API keys and records what was called with them."),
		kong.DefaultEnvars("KEYTRAIL"),
		kong.Vars{
			"retention":     logsvc.DefaultRetention.String(),
			"search_budget": logsvc.DefaultSearchBudget.String(),
			"max_staleness": app.DefaultMaxStaleness.String(),
			"unproved_rows": strconv.Itoa(authsvc.DefaultUnprovedRows),
			"max_keys":      strconv.Itoa(authsvc.DefaultMaxKeys),
			"max_key_bytes": strconv.Itoa(authsvc.DefaultMaxKeyBytes),
			"data_dir":      app.DefaultDataDir,
		},
		kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console{out: stdout, err: stderr}),
	)...)
}

func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return e.code
	}
	fmt.Fprintln(stderr, "keytrail:", err)
	return exitFailed
}
