package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/internal/access"
)

type serveCommand struct {
	app.ServeConfig `embed:""`
	logFlags        `embed:""`
}

func (c *serveCommand) Run(ctx context.Context, to console) error {
	server, err := app.NewServer(ctx, c.ServeConfig, c.start(to.err), time.Now)
	if err != nil {
		return err
	}
	printStartup(to.err, server, c.DataDir)
	if err := printTokenHelp(to.err, c.DataDir, time.Now()); err != nil {
		return errors.Join(err, server.Close())
	}
	return server.Run(ctx)
}

func printStartup(w io.Writer, server *app.Server, dataDir string) {
	scheme := "http"
	if server.TLS() {
		scheme = "https"
	}
	fmt.Fprintf(w, `Keytrail %s is up. Data in %s

  REST        %s://%s
  auth gRPC   %s
  logs gRPC   %s
  health      http://%s/readyz

`, app.Version(), dataDir, scheme, server.GatewayAddr(), server.AuthAddr(), server.LogsAddr(), server.OpsAddr())
}

// startupTokenTTL is the lifetime of the token that is printed at startup.
const startupTokenTTL = 12 * time.Hour

// printTokenHelp explains how to get a token. It prints an admin token only to a terminal: any other output may be
// stored as a log, where the token must not appear.
func printTokenHelp(w io.Writer, dataDir string, now time.Time) error {
	file := filepath.Join(dataDir, app.SigningKeyFile)
	fmt.Fprintf(w, `Calls need a token. The keytrail commands on this machine sign their own with the key in
%s; create one for other callers with

  keytrail token create --data-dir %s --role viewer --workspace acme

`, file, dataDir)
	if !isTerminal(w) {
		return nil
	}
	signer, err := access.ReadSigner(file)
	if err != nil {
		return err
	}
	token, err := signer.Token(access.Grant{
		Role: access.Admin, Workspaces: []string{access.AllWorkspaces}, From: now, TTL: startupTokenTTL,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "This admin token is valid in all workspaces for the next %v:\n\n%s\n\n", startupTokenTTL, token)
	return nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

type authCommand struct {
	app.AuthConfig `embed:""`
	logFlags       `embed:""`
}

func (c *authCommand) Run(ctx context.Context, to console) error {
	server, err := app.NewAuthServer(ctx, c.AuthConfig, c.start(to.err), time.Now)
	return serve(ctx, server, err)
}

type logsvcCommand struct {
	app.LogsConfig `embed:""`
	logFlags       `embed:""`
}

func (c *logsvcCommand) Run(ctx context.Context, to console) error {
	server, err := app.NewLogsServer(ctx, c.LogsConfig, c.start(to.err), time.Now)
	return serve(ctx, server, err)
}

type gatewayCommand struct {
	app.GatewayConfig `embed:""`
	logFlags          `embed:""`
}

func (c *gatewayCommand) Run(ctx context.Context, to console) error {
	server, err := app.NewGatewayServer(ctx, c.GatewayConfig, c.start(to.err))
	return serve(ctx, server, err)
}

// start prepares the process of a service, and returns its logger.
func (f logFlags) start(w io.Writer) *slog.Logger {
	log := f.setLogger(w)
	app.LimitMemory(log)
	return log
}

func serve(ctx context.Context, server *app.Server, err error) error {
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

type versionCommand struct{}

func (versionCommand) Run(to console) error {
	_, err := fmt.Fprintf(to.out, "keytrail %s %s %s/%s\n", app.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
