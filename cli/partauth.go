package cli

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
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/serve"
	"github.com/keytrail/keytrail/trail"
)

// followEvery is how often the keyring asks the store for changes, at the least.
const followEvery = time.Second

// authConfig is what the auth service is made of.
type authConfig struct {
	store      authsvc.Store
	addr       string
	agentTypes authsvc.AgentTypes
	now        func() time.Time
	// logs connects to the log service, and logsToken is sent to it.
	logs      connect
	logsToken credentials.PerRPCCredentials
	// tokens verifies who calls.
	tokens *access.Verifier
	// trailDir is the folder of the trail.
	trailDir    string
	trailShared bool
	trail       trailFlags
	// maxStaleness is how long a keyring that cannot reach its store counts as ready.
	maxStaleness time.Duration
	// wake says that keys have changed, while listen runs; nil = the keyring asks by itself, every second.
	wake   <-chan struct{}
	listen serve.Run
}

// authPart is the auth service with its keyring, its trail and its listeners.
type authPart struct {
	config   authConfig
	keyring  *authsvc.Keyring
	trail    *trail.Trail
	server   *serve.GRPC
	listener net.Listener
	pipe     pipe
	log      *slog.Logger
}

func (s *Server) openAuth(ctx context.Context, config authConfig) error {
	server, err := serve.NewGRPC(s.log, access.NewGate(config.tokens), s.telemetry.Watchers())
	if err != nil {
		return err
	}
	conn, err := config.logs(&s.closers, append(s.telemetry.DialOptions(), grpc.WithPerRPCCredentials(config.logsToken))...)
	if err != nil {
		return err
	}
	tokenKey, err := config.store.TokenKey(ctx)
	if err != nil {
		return fmt.Errorf("read the key of report tokens: %w", err)
	}
	p := &authPart{
		config: config, keyring: authsvc.NewKeyring(config.store, config.now), server: server, pipe: newPipe(), log: s.log,
	}
	open := trail.Open
	if config.trailShared {
		open = trail.OpenShared
	}
	p.trail, err = open(trail.Config{
		Dir: config.trailDir, MaxBytes: config.trail.TrailMaxBytes, Fsync: config.trail.TrailFsync,
		Client: logsv1.NewLogServiceClient(conn), Log: s.log, Metrics: s.telemetry.Metrics,
	})
	if err != nil {
		return err
	}
	s.closers.add(p.trail)
	if err := p.keyring.Refresh(ctx); err != nil {
		return fmt.Errorf("load the keyring: %w", err)
	}
	checker, err := authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: p.keyring, Trail: traced(p.trail, s.telemetry), TokenKey: tokenKey, AgentTypes: config.agentTypes,
		StrangerRows: config.trail.StrangerRowsPerSecond, RefuseUnrecorded: config.trail.TrailFull == trailFullRefuse,
		Now: config.now,
	})
	if err != nil {
		return err
	}
	metrics := append(append(keyringMetrics(p.keyring), checkMetrics(checker)...), reportMetrics(checker)...)
	if err := s.telemetry.Register(metrics...); err != nil {
		return err
	}
	authsvc.Register(server, checker,
		authsvc.NewKeys(config.store, p.keyring, config.agentTypes, config.now))
	if p.listener, err = s.listenGRPC("--auth-addr", config.addr); err != nil {
		return err
	}
	s.auth, s.checks["keyring"], s.checks["trail"] = p, p.fresh, p.recording
	return nil
}

// ship carries the rows of checks to the log service; it ends after run, when no more can come.
func (p *authPart) ship(ctx context.Context) error { return p.trail.Run(ctx) }

func (p *authPart) run(ctx context.Context) error {
	parts := []serve.Run{
		func(ctx context.Context) error {
			p.keyring.Follow(ctx, followEvery, p.config.wake, func(err error) { p.log.Error("the keyring is not refreshed", "error", err) })
			return nil
		},
		func(ctx context.Context) error { return p.server.Run(ctx, p.listener, p.pipe) },
	}
	if p.config.listen != nil {
		parts = append([]serve.Run{p.config.listen}, parts...)
	}
	return serve.InOrder(ctx, parts...)
}

// defaultMaxStaleness is how long a replica that cannot reach its store counts as ready.
const defaultMaxStaleness = 30 * time.Second

// fresh is the readiness of the keyring.
func (p *authPart) fresh(context.Context) error {
	if age := p.keyring.Staleness(); age > p.config.maxStaleness {
		return fmt.Errorf("the keyring last knew every key %v ago", age.Round(time.Second))
	}
	return nil
}

// recording is the readiness of the trail. One that is full because the log service is away is so on every replica: it
// counts only where calls are refused for it. A disk that fails is this replica's own.
func (p *authPart) recording(context.Context) error {
	if p.trail.Writable() != nil {
		return errors.New("the trail of request logs cannot be written")
	}
	if p.trail.Full() && p.config.trail.TrailFull == trailFullRefuse {
		return errors.New("the trail of request logs is full")
	}
	return nil
}
