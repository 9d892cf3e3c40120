package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	authsqlite "github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/gateway"
	"github.com/keytrail/keytrail/internal/serve"
	"github.com/keytrail/keytrail/logsvc"
	logsqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

// ServeConfig is what `keytrail serve` can be told. Addresses are host:port; port 0 takes a free one.
type ServeConfig struct {
	DataDir     string        `default:"./keytrail-data" type:"path" help:"Folder of the embedded databases; made if it is missing."`
	GatewayAddr string        `default:"127.0.0.1:8080" help:"Address of REST. On a loopback address it takes requests for localhost and loopback addresses only."`
	AuthAddr    string        `default:"127.0.0.1:7001" help:"Address of the auth service's gRPC."`
	LogsAddr    string        `default:"127.0.0.1:7002" help:"Address of the log service's gRPC."`
	OpsAddr     string        `default:"127.0.0.1:9100" help:"Address of /healthz and /readyz."`
	Retention   time.Duration `default:"${retention}" help:"How long request logs are kept; at least 1h."`
	AgentTypes  []string      `default:"agent,data_agent,voice_agent" help:"The catalogue of agent types, which are also the scopes of keys."`
	CORSOrigins []string      `name:"cors-origins" help:"Web origins whose pages may call the gateway, e.g. https://console.example.com."`
}

// Validate says which setting is wrong and why.
func (c ServeConfig) Validate() error {
	if c.Retention < time.Hour {
		return fmt.Errorf("--retention: must be at least 1h, got %v", c.Retention)
	}
	for _, origin := range c.CORSOrigins {
		if err := gateway.ValidOrigin(origin); err != nil {
			return fmt.Errorf("--cors-origins: %w", err)
		}
	}
	return validateAgentTypes(c.AgentTypes)
}

type serveCommand struct {
	ServeConfig `embed:""`
	logFlags    `embed:""`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, to console) error {
	log := c.logger(to.err)
	// What the libraries log goes the same way.
	slog.SetDefault(log)
	server, err := NewServer(ctx, c.ServeConfig, log, time.Now)
	if err != nil {
		return err
	}
	server.welcome(to.err)
	return server.Run(ctx)
}

// Server is everything in one process.
type Server struct {
	config  ServeConfig
	log     *slog.Logger
	logs    *logsPart
	auth    *authPart
	gateway *httpPart
	ops     *httpPart
	closers closers
	// stopping is set from the beginning of the end.
	stopping atomic.Bool
}

// NewServer opens the databases and the listeners. Run must be called, to close them again.
func NewServer(ctx context.Context, config ServeConfig, log *slog.Logger, now func() time.Time) (_ *Server, err error) {
	s := &Server{config: config, log: log}
	defer func() {
		if err != nil {
			err = s.closers.closeAfter(err)
		}
	}()
	if err := makeDataDir(config.DataDir); err != nil {
		return nil, err
	}
	if err := s.openLogs(ctx, now); err != nil {
		return nil, err
	}
	if err := s.openAuth(ctx, now); err != nil {
		return nil, err
	}
	if err := s.openGateway(ctx); err != nil {
		return nil, err
	}
	s.ops, err = newOpsPart(config.OpsAddr, s.checks(), log, &s.closers)
	return s, err
}

// checks are what /readyz asks.
func (s *Server) checks() map[string]serve.Check {
	return map[string]serve.Check{
		"process": s.serving, "keyring": s.auth.fresh, "trail": s.auth.room, "request_logs": s.logs.readable,
	}
}

// serving is the readiness of the process.
func (s *Server) serving(context.Context) error {
	if s.stopping.Load() {
		return errors.New("stopping")
	}
	return nil
}

func (s *Server) openLogs(ctx context.Context, now func() time.Time) error {
	store, err := logsqlite.Open(ctx, filepath.Join(s.config.DataDir, "logs.db"))
	if err != nil {
		return fmt.Errorf("open the request logs: %w", err)
	}
	s.closers.add(store)
	s.logs, err = newLogsPart(store, s.config.LogsAddr, logsvc.Config{
		Retention: s.config.Retention, SearchBudget: logsvc.DefaultSearchBudget, Now: now,
	}, s.log, &s.closers)
	return err
}

func (s *Server) openAuth(ctx context.Context, now func() time.Time) error {
	store, err := authsqlite.Open(ctx, filepath.Join(s.config.DataDir, "auth.db"))
	if err != nil {
		return fmt.Errorf("open the keys: %w", err)
	}
	s.closers.add(store)
	s.auth, err = newAuthPart(ctx, authConfig{
		store: store, addr: s.config.AuthAddr, agentTypes: s.config.AgentTypes, now: now, log: s.log,
	}, s.logs.pipe, &s.closers)
	return err
}

func (s *Server) openGateway(ctx context.Context) (err error) {
	s.gateway, err = newGatewayPart(ctx, gatewayConfig{
		addr: s.config.GatewayAddr, auth: s.auth.pipe, logs: s.logs.pipe, origins: s.config.CORSOrigins, log: s.log,
	}, &s.closers)
	return err
}

// Run works until ctx ends or a part fails, then ends the parts in order: readiness, REST, the checks, the trail, the
// request logs, the ops port. It answers nil after an orderly stop, with everything stored and closed.
func (s *Server) Run(ctx context.Context) error {
	err := serve.InOrder(ctx, s.ops.run, s.logs.run, s.auth.ship, s.auth.run, s.gateway.run, s.announceStop)
	s.log.Info("stopped")
	return s.closers.closeAfter(err)
}

// announceStop is the last part, so the first to be told of the end: from then on the process is not ready.
func (s *Server) announceStop(ctx context.Context) error {
	<-ctx.Done()
	s.stopping.Store(true)
	return nil
}

// GatewayAddr is where REST is served.
func (s *Server) GatewayAddr() string { return s.gateway.listener.Addr().String() }

// AuthAddr is where the auth service's gRPC is served.
func (s *Server) AuthAddr() string { return s.auth.listener.Addr().String() }

// LogsAddr is where the log service's gRPC is served.
func (s *Server) LogsAddr() string { return s.logs.listener.Addr().String() }

// OpsAddr is where health is served.
func (s *Server) OpsAddr() string { return s.ops.listener.Addr().String() }

func (s *Server) welcome(w io.Writer) {
	fmt.Fprintf(w, `Keytrail %s is up. Data in %s

  REST        http://%s
  auth gRPC   %s
  logs gRPC   %s
  health      http://%s/readyz

`, Version(), s.config.DataDir, s.GatewayAddr(), s.AuthAddr(), s.LogsAddr(), s.OpsAddr())
}

// validateAgentTypes holds the catalogue against the form that the contract gives agent types.
func validateAgentTypes(types []string) error {
	if len(types) == 0 {
		return fmt.Errorf("--agent-types: must name at least one, e.g. %s", authsvc.DefaultAgentTypes[0])
	}
	for _, t := range types {
		if !authsvc.ValidAgentType(t) {
			return fmt.Errorf("--agent-types: %q must be 1 to 63 of a-z, 0-9 and _", t)
		}
	}
	return nil
}
