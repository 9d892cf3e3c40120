// Command bench measures Keytrail against a yardstick in the same run, because machines differ and are noisy. Each
// measurement prints a table and, as its last line, one JSON object with every figure.
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
	Logs  logsBench  `cmd:"" help:"Ingest and list request logs in Postgres."`
	Keys  keysBench  `cmd:"" help:"Load the keyring from Postgres and revoke keys on another replica."`
	Check checkBench `cmd:"" help:"Check calls, against an empty gRPC server."`
	Trail trailBench `cmd:"" help:"Append to the trail, with and without waiting for the disk, and check calls while the log service is away."`

	CheckEmpty emptyServerCommand `cmd:"" hidden:""`
	CheckLoad  loadCommand        `cmd:"" hidden:""`
}

// database says where to measure.
type database struct {
	DatabaseURL string `help:"A Postgres to measure on; the measurement makes and drops databases named keytrail_bench_… there. Without it, a private one is started from installed binaries."`
}

// open answers the URL of an empty database of this name, for each name it is called with, and starts a server where
// none was given; stop ends it.
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
