package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
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
	url := gatewayURL(server)
	printStartup(to.err, server, url, c.DataDir)
	if err := printSignIn(to.err, url, c.DataDir, time.Now()); err != nil {
		return errors.Join(err, server.Close())
	}
	return server.Run(ctx)
}

// gatewayURL returns the URL of the gateway for a browser on this machine.
func gatewayURL(server *app.Server) string {
	if server.TLS() {
		return browserURL("https", server.GatewayAddr())
	}
	return browserURL("http", server.GatewayAddr())
}

// browserURL returns a URL of a listener. Browsers cannot connect to the unspecified address.
func browserURL(scheme, addr string) string {
	if listening, err := netip.ParseAddrPort(addr); err == nil && listening.Addr().IsUnspecified() {
		addr = fmt.Sprintf("localhost:%d", listening.Port())
	}
	return scheme + "://" + addr
}

func printStartup(w io.Writer, server *app.Server, url, dataDir string) {
	fmt.Fprintf(w, `Keytrail %s is up. Data in %s

  console     %s
  REST        %s/v1
  auth gRPC   %s
  logs gRPC   %s
  health      http://%s/readyz

`, app.Version(), dataDir, url, url, server.AuthAddr(), server.LogsAddr(), server.OpsAddr())
}

// startupTokenTTL is the lifetime of the token in the link that is printed at startup.
const startupTokenTTL = 12 * time.Hour

// printSignIn explains how to sign in to the console at url. It prints a link with an admin token only to a terminal: any other
// output may be stored as a log, where the token must not appear.
func printSignIn(w io.Writer, url, dataDir string, now time.Time) error {
	file := filepath.Join(dataDir, app.SigningKeyFile)
	fmt.Fprintf(w, `Calls need a token. The keytrail commands on this machine sign their own with the key in
%s; create one for other callers with

  keytrail token create --data-dir %s --role viewer --workspace acme

`, file, dataDir)
	if !isTerminal(w) {
		fmt.Fprintf(w, `Print a link that signs in to the console as an admin of all workspaces with

  keytrail token create --data-dir %s --role admin --workspace '*' --ttl 12h --console-url %s

`, dataDir, url)
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
	fmt.Fprintf(w, "Open this link to sign in to the console as an admin of all workspaces, for the next %v hours:\n\n%s\n\n",
		startupTokenTTL.Hours(), signInLink(url, token))
	return nil
}

// signInLink returns a link that signs in to the console at url. Browsers do not send the part after # to any server.
func signInLink(url, token string) string { return url + "/#token=" + token }

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
