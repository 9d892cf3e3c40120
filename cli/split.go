package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	authpostgres "github.com/keytrail/keytrail/authsvc/postgres"
	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/telemetry"
	"github.com/keytrail/keytrail/logsvc"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
)

// The parts as processes of their own, on Postgres: any number of each.

// databaseFlag says where a service keeps its data.
type databaseFlag struct {
	DatabaseURL string `required:"" help:"The Postgres database, e.g. postgres://keytrail:password@db:5432/keytrail. Both services may share one: each has a schema of its own."`
}

// check refuses plaintext that others could read: keys, request logs and the password of the database.
func (f databaseFlag) check(plain insecureFlag) error {
	return checkDatabase("--database-url", f.DatabaseURL, plain)
}

func checkDatabase(flag, url string, plain insecureFlag) error {
	host, err := pgdb.Exposed(url)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	if host == "" || plain.Insecure {
		return nil
	}
	return fmt.Errorf("%s: %s may be another machine, and could be called without TLS: add sslmode=verify-full (or require) to the URL, or give --insecure to allow plaintext", flag, host)
}

// AuthConfig is what `keytrail authsvc` can be told.
type AuthConfig struct {
	databaseFlag `embed:""`
	tokenFlags   `embed:""`
	callerFlags  `embed:""`
	listenFlags  `embed:""`
	dialFlags    `embed:""`
	AuthAddr     string        `default:"127.0.0.1:7001" help:"Address to serve gRPC on."`
	LogsAddr     string        `default:"127.0.0.1:7002" help:"Address of the log service; a name with several addresses is all of its replicas."`
	OpsAddr      string        `default:"127.0.0.1:9101" help:"Address of /healthz, /readyz and /metrics."`
	MaxStaleness time.Duration `default:"${max_staleness}" help:"How long a replica that cannot reach the database goes on being ready: for so long a revoked key may pass."`
	TrailDir     string        `default:"./keytrail-trail" type:"path" help:"Folder of the trail, the rows that the log service has not stored yet; made if it is missing. Each replica needs its own, on a disk that outlives it."`
	TrailShared  bool          `help:"Several replicas of this machine share --trail-dir: each takes a folder in it that no other has, and they ship what one that is gone has left."`
	AgentTypes   []string      `default:"agent,data_agent,voice_agent" help:"The catalog of agent types, which are also the scopes of keys; the same for all replicas. Each may have a label for people, e.g. data_agent=Data Agent; without one it is made of the name."`
	trailFlags   `embed:""`
}

// Validate says which setting is wrong and why.
func (c AuthConfig) Validate() error {
	if c.MaxStaleness < 2*followEvery {
		return fmt.Errorf("--max-staleness: must be at least %v, got %v", 2*followEvery, c.MaxStaleness)
	}
	return errors.Join(c.trailFlags.validate(), validateAgentTypes(c.AgentTypes), c.tokenFlags.validateAny(), c.callerFlags.validate())
}

// NewAuthServer opens the auth service as a process of its own.
func NewAuthServer(ctx context.Context, config AuthConfig, log *slog.Logger, now func() time.Time) (*Server, error) {
	return newServer("authsvc", log, config.OpsAddr, config.listenFlags, func(s *Server) error {
		if err := config.databaseFlag.check(config.insecureFlag); err != nil {
			return err
		}
		tokens, err := config.verifier(now, log)
		if err != nil {
			return err
		}
		agentTypes, err := parseAgentTypes(config.AgentTypes)
		if err != nil {
			return err
		}
		logsToken, err := config.credentials(now, log)
		if err != nil {
			return err
		}
		store, err := authpostgres.Open(ctx, config.DatabaseURL)
		if err != nil {
			return fmt.Errorf("open the keys: %w", err)
		}
		s.closers.add(store)
		if err := s.telemetry.Register(telemetry.Pool("keys", store.Connections)...); err != nil {
			return err
		}
		return s.openAuth(ctx, authConfig{
			store: store, addr: config.AuthAddr, tokens: tokens, agentTypes: agentTypes, now: now,
			logs: config.remote("--logs-addr", config.LogsAddr, config.insecureFlag, log), logsToken: logsToken,
			maxStaleness: config.MaxStaleness, trailDir: config.TrailDir, trailShared: config.TrailShared, trail: config.trailFlags, wake: store.Wake(),
			listen: func(ctx context.Context) error {
				store.Listen(ctx, func(err error) { log.Warn("changes of keys are polled, not heard", "error", err) })
				return nil
			},
		})
	})
}

// LogsConfig is what `keytrail logsvc` can be told.
type LogsConfig struct {
	databaseFlag `embed:""`
	tokenFlags   `embed:""`
	listenFlags  `embed:""`
	LogsAddr     string        `default:"127.0.0.1:7002" help:"Address to serve gRPC on."`
	OpsAddr      string        `default:"127.0.0.1:9102" help:"Address of /healthz, /readyz and /metrics."`
	Retention    time.Duration `default:"${retention}" help:"How long request logs are kept; at least 1h; the same for all replicas."`
	SearchBudget time.Duration `default:"${search_budget}" help:"How long one page of a list may search before it answers with what it has found."`
}

// Validate says which setting is wrong and why.
func (c LogsConfig) Validate() error {
	if c.SearchBudget < 10*time.Millisecond {
		return fmt.Errorf("--search-budget: must be at least 10ms, got %v", c.SearchBudget)
	}
	return errors.Join(validateRetention(c.Retention), c.tokenFlags.validateAny())
}

// NewLogsServer opens the log service as a process of its own.
func NewLogsServer(ctx context.Context, config LogsConfig, log *slog.Logger, now func() time.Time) (*Server, error) {
	return newServer("logsvc", log, config.OpsAddr, config.listenFlags, func(s *Server) error {
		if err := config.databaseFlag.check(config.insecureFlag); err != nil {
			return err
		}
		tokens, err := config.verifier(now, log)
		if err != nil {
			return err
		}
		store, err := logspostgres.Open(ctx, config.DatabaseURL, now)
		if err != nil {
			return fmt.Errorf("open the request logs: %w", err)
		}
		s.closers.add(store)
		if err := s.telemetry.Register(append(telemetry.Pool("logs_write", store.Writers), telemetry.Pool("logs_read", store.Readers)...)...); err != nil {
			return err
		}
		return s.openLogs(logsConfig{
			store: store, addr: config.LogsAddr, tokens: tokens,
			service: logsvc.Config{Retention: config.Retention, SearchBudget: config.SearchBudget, Now: now},
			days:    store.Days,
			keep: func(ctx context.Context) error {
				store.Keep(ctx, log)
				return nil
			},
		})
	})
}

// GatewayConfig is what `keytrail gateway` can be told.
type GatewayConfig struct {
	listenFlags `embed:""`
	dialFlags   `embed:""`

	GatewayAddr string   `default:"127.0.0.1:8080" help:"Address to serve REST on. On a loopback address it takes requests for localhost and loopback addresses only."`
	AuthAddr    string   `default:"127.0.0.1:7001" help:"Address of the auth service; a name with several addresses is all of its replicas."`
	LogsAddr    string   `default:"127.0.0.1:7002" help:"Address of the log service, likewise."`
	OpsAddr     string   `default:"127.0.0.1:9103" help:"Address of /healthz, /readyz and /metrics."`
	CORSOrigins []string `name:"cors-origins" help:"Web origins whose pages may call the gateway, e.g. https://console.example.com."`
}

// Validate says which setting is wrong and why.
func (c GatewayConfig) Validate() error { return validateOrigins(c.CORSOrigins) }

// NewGatewayServer opens the gateway as a process of its own.
func NewGatewayServer(ctx context.Context, config GatewayConfig, log *slog.Logger) (*Server, error) {
	return newServer("gateway", log, config.OpsAddr, config.listenFlags, func(s *Server) error {
		return s.openGateway(ctx, gatewayConfig{
			addr: config.GatewayAddr, origins: config.CORSOrigins,
			auth: config.remote("--auth-addr", config.AuthAddr, config.insecureFlag, log),
			logs: config.remote("--logs-addr", config.LogsAddr, config.insecureFlag, log),
		})
	})
}

type authCommand struct {
	AuthConfig `embed:""`
	logFlags   `embed:""`
}

// Run serves until ctx ends.
func (c *authCommand) Run(ctx context.Context, to console) error {
	log := c.setLogger(to.err)
	server, err := NewAuthServer(ctx, c.AuthConfig, log, time.Now)
	if err != nil {
		return err
	}
	log.Info("serving", "version", Version(), "part", "authsvc", "grpc", server.AuthAddr(), "ops", server.OpsAddr())
	return server.Run(ctx)
}

type logsvcCommand struct {
	LogsConfig `embed:""`
	logFlags   `embed:""`
}

// Run serves until ctx ends.
func (c *logsvcCommand) Run(ctx context.Context, to console) error {
	log := c.setLogger(to.err)
	server, err := NewLogsServer(ctx, c.LogsConfig, log, time.Now)
	if err != nil {
		return err
	}
	log.Info("serving", "version", Version(), "part", "logsvc", "grpc", server.LogsAddr(), "ops", server.OpsAddr())
	return server.Run(ctx)
}

type gatewayCommand struct {
	GatewayConfig `embed:""`
	logFlags      `embed:""`
}

// Run serves until ctx ends.
func (c *gatewayCommand) Run(ctx context.Context, to console) error {
	log := c.setLogger(to.err)
	server, err := NewGatewayServer(ctx, c.GatewayConfig, log)
	if err != nil {
		return err
	}
	log.Info("serving", "version", Version(), "part", "gateway", "rest", server.GatewayAddr(), "ops", server.OpsAddr())
	return server.Run(ctx)
}
