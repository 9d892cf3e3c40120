// Command bench measures Keytrail against a baseline in the same run, because machines differ and are noisy. Each
// measurement prints a table and, as its last line, JSON with every figure.
//
//	go run ./bench logs --rows 10000000
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/alecthomas/kong"

	"github.com/keytrail/keytrail/internal/testing/pgserver"
)

var commands struct {
	Logs    logsBench    `cmd:"" help:"Ingest and list request logs in Postgres."`
	Flood   floodBench   `cmd:"" help:"List the request logs of one workspace while searches of another one flood the log service."`
	Keys    keysBench    `cmd:"" help:"Load the keyring from Postgres and revoke keys on another replica."`
	Summary summaryBench `cmd:"" help:"Summarize the request logs of a large workspace, and list its keys."`
	Quota   quotaBench   `cmd:"" help:"Create and list the keys of a workspace that has used up its quota, and load them."`
	Check   checkBench   `cmd:"" help:"Check calls, against an empty gRPC server."`
	Trail   trailBench   `cmd:"" help:"Append to the trail, with and without waiting for the disk, and check calls without the log service."`

	Export exportBench `cmd:"" help:"Export the request logs of a workspace over gRPC, REST and the command line."`

	Proxy proxyBench `cmd:"" help:"Call a service through nginx and Caddy, and compare the latency of the rows with what the caller saw."`

	Abuse abuseBench `cmd:"" help:"Check calls while callers without a token send the largest requests."`

	CheckEmpty emptyServerCommand `cmd:"" hidden:""`
	CheckLoad  loadCommand        `cmd:"" hidden:""`
	AbuseLoad  abuseLoadCommand   `cmd:"" hidden:""`
}

// database is the Postgres of a measurement.
type database struct {
	DatabaseURL string `help:"URL of a Postgres server, on which databases named keytrail_bench_… are created and dropped. By default a private server is started from the installed binaries."`
}

// open returns make, which creates an empty database and returns its URL. It starts a server if no URL was given; stop
// stops it.
func (d database) open(ctx context.Context) (make func(name string) (string, error), stop func() error, err error) {
	if d.DatabaseURL != "" {
		return func(name string) (string, error) { return emptyDatabase(ctx, d.DatabaseURL, name) }, func() error { return nil }, nil
	}
	server, err := pgserver.Start(ctx, pgserver.Options{Durable: true})
	if err != nil {
		return nil, nil, err
	}
	return func(name string) (string, error) { return emptyDatabase(ctx, server.URL("postgres"), name) }, server.Stop, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	command := kong.Parse(&commands, kong.Name("bench"), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
