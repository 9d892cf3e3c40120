package cli

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/accesslog"
)

type reportAccessLogCommand struct {
	authFlags `embed:""`
	logFlags  `embed:""`
	Format    accesslog.Format `required:"" enum:"nginx,caddy,traefik" help:"Proxy that writes the access log: nginx (with the log_format of docs/integrations/nginx.md), caddy or traefik (JSON; caddy.md and traefik.md there)."`
	File      string           `type:"path" xor:"source" help:"Access log to read. It may be rotated."`
	State     string           `type:"path" help:"File that keeps how far --file was reported; required with it. It is created, and has a lock FILE.lock beside it."`
	Syslog    string           `xor:"source" placeholder:"ADDR" help:"Receive the access log by syslog instead: udp://host:port, or unix:///path for a datagram socket. Lines that are sent while this command is not running are lost."`
}

// Run reports the calls of the access log until ctx ends.
func (c *reportAccessLogCommand) Run(ctx context.Context, to console) error {
	log := c.setLogger(to.err)
	lines := accesslog.NewLineReader(c.Format, log)
	source, err := c.open(ctx, lines, log)
	if err != nil {
		return err
	}
	err = c.connect(func(conn *grpc.ClientConn) error {
		explain := func(err error) string { return callError{c.AuthAddr, !c.Secured(), err}.Error() }
		return accesslog.NewReporter(authv1.NewCheckServiceClient(conn), lines, log, explain).Run(ctx, source)
	}, grpc.WithDefaultServiceConfig(app.GRPCServiceConfig), grpc.WithDisableServiceConfig())
	return errors.Join(err, source.Close())
}

func (c *reportAccessLogCommand) open(
	ctx context.Context, lines *accesslog.LineReader, log *slog.Logger,
) (accesslog.Source, error) {
	switch {
	case c.Syslog != "" && c.State != "":
		return nil, errors.New("--state: only with --file; what arrives by --syslog has no position")
	case c.Syslog != "":
		return accesslog.ListenSyslog(ctx, c.Syslog, lines)
	case c.File == "":
		return nil, errors.New("--file, --syslog: one of them is required")
	case c.State == "":
		return nil, errors.New("--state: required with --file")
	}
	return accesslog.OpenFile(c.File, c.State, lines, log)
}
