package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	authsqlite "github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/logsvc"
	logsqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

// ServeConfig is what `keytrail serve` can be told. Addresses are host:port; port 0 takes a free one.
type ServeConfig struct {
	listenFlags `embed:""`
	tokenFlags  `embed:""`

	DataDir     string        `default:"${data_dir}" type:"path" help:"Folder of the embedded databases, of the trail and of the key that signs tokens; made if it is missing."`
	GatewayAddr string        `default:"127.0.0.1:8080" help:"Address of REST. On a loopback address it takes requests for localhost and loopback addresses only."`
	AuthAddr    string        `default:"127.0.0.1:7001" help:"Address of the auth service's gRPC."`
	LogsAddr    string        `default:"127.0.0.1:7002" help:"Address of the log service's gRPC."`
	OpsAddr     string        `default:"127.0.0.1:9100" help:"Address of /healthz, /readyz and /metrics."`
	Retention   time.Duration `default:"${retention}" help:"How long request logs are kept; at least 1h."`
	AgentTypes  []string      `default:"agent,data_agent,voice_agent" help:"The catalog of agent types, which are also the scopes of keys. Each may have a label for people, e.g. data_agent=Data Agent; without one it is made of the name."`
	trailFlags  `embed:""`
	CORSOrigins []string `name:"cors-origins" help:"Web origins whose pages may call the gateway, e.g. https://console.example.com."`
}

// Validate says which setting is wrong and why.
func (c ServeConfig) Validate() error {
	if err := validateRetention(c.Retention); err != nil {
		return err
	}
	if err := validateOrigins(c.CORSOrigins); err != nil {
		return err
	}
	if err := c.trailFlags.validate(); err != nil {
		return err
	}
	if err := c.tokenFlags.validate(); err != nil {
		return err
	}
	return validateAgentTypes(c.AgentTypes)
}

type serveCommand struct {
	ServeConfig `embed:""`
	logFlags    `embed:""`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, to console) error {
	log := c.setLogger(to.err)
	server, err := NewServer(ctx, c.ServeConfig, log, time.Now)
	if err != nil {
		return err
	}
	server.welcome(to.err, c.DataDir)
	if err := tellToken(to.err, c.DataDir, time.Now()); err != nil {
		return server.closers.closeAfter(err)
	}
	return server.Run(ctx)
}

// NewServer opens everything in one process: the databases and the listeners. Run must be called, to close them again.
func NewServer(ctx context.Context, config ServeConfig, log *slog.Logger, now func() time.Time) (*Server, error) {
	return newServer("serve", log, config.OpsAddr, config.listenFlags, func(s *Server) error {
		if err := makeDataDir(config.DataDir); err != nil {
			return err
		}
		keyFile := filepath.Join(config.DataDir, signingKeyFile)
		signer, err := access.EnsureSigner(keyFile)
		if err != nil {
			return err
		}
		tellOpenKey(s.log, keyFile)
		tokens, err := config.verifier(now, s.log, signer.Public())
		if err != nil {
			return err
		}
		if err := s.openEmbeddedLogs(ctx, config, tokens, now); err != nil {
			return err
		}
		if err := s.openEmbeddedAuth(ctx, config, tokens, access.NewMinter(signer, now), now); err != nil {
			return err
		}
		return s.openGateway(ctx, gatewayConfig{
			addr: config.GatewayAddr, auth: s.auth.pipe.dial, logs: s.logs.pipe.dial, origins: config.CORSOrigins,
		})
	})
}

func (s *Server) openEmbeddedLogs(ctx context.Context, config ServeConfig, tokens *access.Verifier, now func() time.Time) error {
	store, err := logsqlite.Open(ctx, filepath.Join(config.DataDir, "logs.db"))
	if err != nil {
		return fmt.Errorf("open the request logs: %w", err)
	}
	s.closers.add(store)
	return s.openLogs(logsConfig{store: store, addr: config.LogsAddr, tokens: tokens, service: logsvc.Config{
		Retention: config.Retention, SearchBudget: logsvc.DefaultSearchBudget, Now: now,
	}})
}

func (s *Server) openEmbeddedAuth(ctx context.Context, config ServeConfig, tokens *access.Verifier, self *access.Minter, now func() time.Time) error {
	store, err := authsqlite.Open(ctx, filepath.Join(config.DataDir, "auth.db"))
	if err != nil {
		return fmt.Errorf("open the keys: %w", err)
	}
	s.closers.add(store)
	agentTypes, err := parseAgentTypes(config.AgentTypes)
	if err != nil {
		return err
	}
	return s.openAuth(ctx, authConfig{
		store: store, addr: config.AuthAddr, tokens: tokens, logs: s.logs.pipe.dial, logsToken: self, agentTypes: agentTypes, now: now,
		maxStaleness: defaultMaxStaleness, trailDir: filepath.Join(config.DataDir, "trail"), trail: config.trailFlags,
	})
}

// makeDataDir makes the folder of the databases, for its owner alone.
func makeDataDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	return nil
}

func (s *Server) welcome(w io.Writer, dataDir string) {
	scheme := "http"
	if s.entrance.certificate != nil {
		scheme = "https"
	}
	fmt.Fprintf(w, `Keytrail %s is up. Data in %s

  REST        %s://%s
  auth gRPC   %s
  logs gRPC   %s
  health      http://%s/readyz

`, Version(), dataDir, scheme, s.GatewayAddr(), s.AuthAddr(), s.LogsAddr(), s.OpsAddr())
}
