// Command keytrail checks API keys and records the calls that are made with them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/keytrail/keytrail/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
