package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/envoy"
	"github.com/keytrail/keytrail/authsvc/grpcapi"
	authpostgres "github.com/keytrail/keytrail/authsvc/postgres"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/telemetry"
	"github.com/keytrail/keytrail/trail"
	"github.com/keytrail/keytrail/trail/wal"
)

// AuthConfig configures `keytrail authsvc`.
type AuthConfig struct {
	databaseFlag `embed:""`
	tokenFlags   `embed:""`
	callerFlags  `embed:""`
	listenFlags  `embed:""`
	checkersFlag `embed:""`
	DialFlags    `embed:""`
	AuthAddr     string        `default:"127.0.0.1:7001" help:"Address to serve gRPC on."`
	LogsAddr     string        `default:"127.0.0.1:7002" help:"Address of the log service. If it is a DNS name with several addresses, calls are spread over them."`
	OpsAddr      string        `default:"127.0.0.1:9101" help:"Address to serve /healthz, /readyz and /metrics on."`
	MaxStaleness time.Duration `default:"${max_staleness}" help:"How long a replica that cannot reach the database stays ready. A revoked key may be accepted for that long."`
	TrailDir     string        `default:"./keytrail-trail" type:"path" help:"Folder of the trail: rows that the log service has not stored yet. Created if missing. Each replica needs its own, on a persistent disk."`
	TrailShared  bool          `help:"Let several replicas on this machine share --trail-dir. Each uses its own subfolder, and they ship the rows of replicas that are gone."`
	AgentTypes   []string      `default:"agent,data_agent,voice_agent" help:"The catalog of agent types, which are also the scopes of keys. Must be the same for all replicas. A type can have a label, e.g. data_agent=Data Agent; the default label is made from the name."`
	pathsFlag    `embed:""`
	quotaFlags   `embed:""`
	trailFlags   `embed:""`
}

// keyringInterval is how often the keyring polls the store for changes, at the least.
const keyringInterval = time.Second

// Validate implements kong's validation.
func (c AuthConfig) Validate() error {
	if c.MaxStaleness < 2*keyringInterval {
		return fmt.Errorf("--max-staleness: must be at least %v, got %v", 2*keyringInterval, c.MaxStaleness)
	}
	return errors.Join(c.trailFlags.validate(), c.quotaFlags.validate(), validateAgentTypes(c.AgentTypes), c.pathsFlag.validate(),
		c.checkersFlag.validate(c.listenFlags), c.tokenFlags.validateRequired(), c.callerFlags.validate())
}

// NewAuthServer returns a server that runs the auth service on Postgres. The caller must call Run or Close.
func NewAuthServer(ctx context.Context, config AuthConfig, log *slog.Logger, now func() time.Time) (*Server, error) {
	return newServer("authsvc", log, config.OpsAddr, config.listenFlags, func(s *Server) error {
		if err := CheckDatabase("--database-url", config.DatabaseURL, config.InsecureFlag); err != nil {
			return err
		}
		tokens, err := s.addVerifier(config.tokenFlags, now)
		if err != nil {
			return err
		}
		logsToken, err := config.credentials(now, log)
		if err != nil {
			return err
		}
		store, err := authpostgres.Lazy(ctx, config.DatabaseURL)
		if err != nil {
			return fmt.Errorf("open the keys: %w", err)
		}
		database, err := pgdb.Identity(config.DatabaseURL)
		if err != nil {
			return err
		}
		s.closeLater(store)
		if err := s.telemetry.Register(telemetry.Pool("keys", store.Connections)...); err != nil {
			return err
		}
		s.parts = append(s.parts, background(func(ctx context.Context) {
			store.Listen(ctx, func(err error) { log.Warn("LISTEN connection lost; polling for key changes", "error", err) })
		}))
		return s.openAuth(ctx, authConfig{
			store: store, migrate: store.Migrate, snapshotOf: database,
			addr: config.AuthAddr, tokens: tokens, tlsCheckers: config.TLSCheckers,
			agentTypes: config.AgentTypes, agentPaths: config.pathsFlag, quota: config.quota(), now: now,
			logs: config.remote("--logs-addr", config.LogsAddr, config.InsecureFlag, log), logsToken: logsToken,
			maxStaleness: config.MaxStaleness, changed: store.Wake(),
			trailDir: config.TrailDir, trailShared: config.TrailShared, trail: config.trailFlags,
		})
	})
}

// authConfig is what the auth service needs on any store.
type authConfig struct {
	store      authsvc.Store
	migrate    func(context.Context) error // prepares the store; nil = it is ready
	snapshotOf string                      // identifies the store in the snapshot of the keyring; empty = no snapshot
	addr       string
	inMemory   []net.Listener // for the other parts of the same process
	tokens     *access.Verifier
	// tlsCheckers are names of client certificates of checkers.
	tlsCheckers []string
	agentTypes  []string
	agentPaths  pathsFlag
	quota       authsvc.Quota
	now         func() time.Time
	// logs connects to the log service, and logsToken authenticates the calls.
	logs         dialFunc
	logsToken    credentials.PerRPCCredentials
	trailDir     string
	trailShared  bool
	trail        trailFlags
	maxStaleness time.Duration
	// changed receives when keys have changed; nil = the keyring only polls.
	changed <-chan struct{}
}

// openAuth adds the auth service with its keyring and its trail.
func (s *Server) openAuth(ctx context.Context, config authConfig) error {
	server, err := grpcserver.New(grpcserver.Config{
		Log: s.log, Authorizer: access.NewAuthorizer(config.tokens, config.tlsCheckers...), Instrumentation: s.telemetry.Instrumentation(), MaxMessageBytes: grpcserver.AuthMessageBytes,
	})
	if err != nil {
		return err
	}
	agentTypes, err := parseAgentTypes(config.agentTypes)
	if err != nil {
		return err
	}
	agentPaths, err := config.agentPaths.templates()
	if err != nil {
		return err
	}
	s.starting("opening the trail")
	rows, err := s.openTrail(config)
	if err != nil {
		return err
	}
	keyring, err := s.openKeyring(ctx, config)
	if err != nil {
		return err
	}
	checker, err := authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: keyring.Keyring, Trail: traced(rows, s.telemetry), TokenKey: keyring.tokenKey, AgentTypes: agentTypes,
		UnprovedRows: config.trail.UnprovedRowsPerSecond, RefuseUnrecorded: config.trail.TrailFull == trailFullRefuse,
		Now: config.now,
	})
	if err != nil {
		return err
	}
	if err := s.telemetry.Register(append(keyringMetrics(keyring.Keyring), checkMetrics(checker)...)...); err != nil {
		return err
	}
	grpcapi.Register(server, checker, authsvc.NewKeys(config.store, keyring.Keyring, agentTypes, config.quota, config.now))
	envoy.Register(server, grpcapi.NewCheckServer(checker), agentPaths, s.log)
	listener, err := s.listenGRPC("--auth-addr", config.addr)
	if err != nil {
		return err
	}
	s.authAddr = listener.Addr()
	s.checks["keyring"] = func(context.Context) error { return checkFresh(keyring.Keyring, config.maxStaleness) }
	// The trail stops after the server, when no more rows can come.
	s.parts = append(s.parts, rows.Run, keyring.follow)
	if config.snapshotOf != "" {
		s.parts = append(s.parts, background(keyring.saveSnapshots))
	}
	s.serveGRPC(server, append(config.inMemory, listener)...)
	return nil
}

// openTrail opens the trail, which ships its rows to the log service.
func (s *Server) openTrail(config authConfig) (*trail.Trail, error) {
	conn, err := config.logs(s, grpc.WithPerRPCCredentials(config.logsToken))
	if err != nil {
		return nil, err
	}
	open := trail.Open
	if config.trailShared {
		open = trail.OpenShared
	}
	rows, err := open(trail.Config{
		Dir: config.trailDir, MaxBytes: config.trail.TrailMaxBytes, Fsync: config.trail.TrailFsync, StallTimeout: config.trail.TrailStallTimeout,
		Client: logsv1.NewLogServiceClient(conn), Log: s.log, Metrics: s.telemetry.Metrics,
	})
	if err != nil {
		return nil, err
	}
	s.closeLater(rows)
	s.checks["trail"] = func(context.Context) error { return checkTrail(rows, config.trail.TrailFull) }
	return rows, nil
}

// checkFresh is the readiness check of the keyring.
func checkFresh(keyring *authsvc.Keyring, maxStaleness time.Duration) error {
	if age := keyring.Stats().Staleness; age > maxStaleness {
		return fmt.Errorf("the keyring last knew every key %v ago", age.Round(time.Second))
	}
	return nil
}

// checkTrail is the readiness check of the trail. A failing disk concerns this replica only. A full trail means
// that the log service is unavailable, which concerns every replica: the replica is not ready only if it refuses calls.
func checkTrail(rows *trail.Trail, full string) error {
	switch err := rows.Writable(); {
	case errors.Is(err, wal.ErrStalled):
		return fmt.Errorf("the trail of request logs cannot be written: %w", err)
	case err != nil: // the log has it; it may contain a path
		return errors.New("the trail of request logs cannot be written")
	}
	if rows.Full() && full == trailFullRefuse {
		return errors.New("the trail of request logs is full")
	}
	return nil
}
