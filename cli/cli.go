// Package cli is the keytrail command: its subcommands, thin over the services, and the wiring of the services into
// processes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/alecthomas/kong"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/logsvc"
)

// Exit codes of the command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitDenied is of `keytrail check` alone: the call may not go through.
	exitDenied = 3
)

// commands is the grammar of the command line. A flag has an environment variable KEYTRAIL_… where it says how and
// where to work: addresses, the workspace, the output, the caller's secret and all of serve. What is to be done is
// said on the command line alone (env:"-"): a variable left over must not purge, widen a key or change what is found.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run everything in one process, on an embedded database."`
	Authsvc authCommand    `cmd:"" help:"Run the auth service alone, on Postgres."`
	Logsvc  logsvcCommand  `cmd:"" help:"Run the log service alone, on Postgres."`
	Gateway gatewayCommand `cmd:"" help:"Run REST alone, in front of the two services."`
	Keys    keysCommand    `cmd:"" help:"Create, list and change API keys."`
	Logs    logsCommand    `cmd:"" help:"List, get and purge request logs."`
	Token   tokenCommand   `cmd:"" help:"Make tokens, which say who may call, and the keys that sign them."`
	Check   checkCommand   `cmd:"" help:"Check one call, as a backend would."`
	Migrate migrateCommand `cmd:"" help:"Move what \"keytrail serve\" keeps to Postgres."`
	Health  healthCommand  `cmd:"" help:"Ask a service on this machine whether it can do its work."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// console is where a command writes: results to out, everything else to err.
type console struct{ out, err io.Writer }

// exitError carries an exit code that is not exitFailed; Main prints nothing for it.
type exitError struct{ code int }

// Error makes it an error; the text is never shown.
func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// Main runs one command line and answers the exit code of the process. It ends soon after ctx does.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	// Kong ends the process by this hook, after help and the like; the panic brings its code back here instead.
	type exit int
	code := exitOK
	func() {
		defer func() {
			if p := recover(); p != nil {
				e, ok := p.(exit)
				if !ok {
					panic(p)
				}
				code = int(e)
			}
		}()
		code = run(ctx, args, stdout, stderr, kong.Exit(func(c int) { panic(exit(c)) }))
	}()
	return code
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, onExit kong.Option) int {
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
		kong.Description("May this call go through, and what happened to that call?"),
		kong.DefaultEnvars("KEYTRAIL"),
		kong.Vars{
			"retention":     logsvc.DefaultRetention.String(),
			"search_budget": logsvc.DefaultSearchBudget.String(),
			"max_staleness": defaultMaxStaleness.String(),
			"stranger_rows": strconv.Itoa(authsvc.DefaultStrangerRows),
			"data_dir":      defaultDataDir,
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
