package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/test/bufconn"

	authsqlite "github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/logsvc"
	logsqlite "github.com/keytrail/keytrail/logsvc/sqlite"
)

// ServeConfig configures `keytrail serve`. Addresses are host:port; port 0 picks a free one.
type ServeConfig struct {
	listenFlags  `embed:""`
	checkersFlag `embed:""`
	tokenFlags   `embed:""`

	DataDir     string        `default:"${data_dir}" type:"path" help:"Folder of the embedded databases, the trail and the key that signs tokens. Created if missing."`
	GatewayAddr string        `default:"127.0.0.1:8080" help:"Address to serve REST on. On a loopback address only requests for localhost and loopback addresses are accepted."`
	AuthAddr    string        `default:"127.0.0.1:7001" help:"Address to serve the auth service's gRPC on."`
	LogsAddr    string        `default:"127.0.0.1:7002" help:"Address to serve the log service's gRPC on."`
	OpsAddr     string        `default:"127.0.0.1:9100" help:"Address to serve /healthz, /readyz and /metrics on."`
	Retention   time.Duration `default:"${retention}" help:"How long to keep request logs; at least 1h."`
	AgentTypes  []string      `default:"agent,data_agent,voice_agent" help:"The catalog of agent types, which are also the scopes of keys. A type can have a label, e.g. data_agent=Data Agent; the default label is made from the name."`
	quotaFlags  `embed:""`
	trailFlags  `embed:""`
	pathsFlag   `embed:""`
	CORSOrigins []string `name:"cors-origins" help:"Web origins whose pages may call the gateway, e.g. https://console.example.com."`

	consoleFlags `embed:""`
}

// Validate implements kong's validation.
func (c ServeConfig) Validate() error {
	return errors.Join(ValidateRetention(c.Retention), validateOrigins(c.CORSOrigins), c.trailFlags.validate(), c.quotaFlags.validate(),
		c.tokenFlags.validate(), c.consoleFlags.validate(c.OIDCIssuers), validateAgentTypes(c.AgentTypes), c.pathsFlag.validate(),
		c.checkersFlag.validate(c.listenFlags))
}

// NewServer returns a server that runs everything on embedded databases. The caller must call Run or Close.
func NewServer(ctx context.Context, config ServeConfig, log *slog.Logger, now func() time.Time) (*Server, error) {
	return newServer("serve", log, config.OpsAddr, config.listenFlags, func(s *Server) error {
		if err := os.MkdirAll(config.DataDir, 0o700); err != nil {
			return fmt.Errorf("--data-dir: %w", err)
		}
		keyFile := filepath.Join(config.DataDir, SigningKeyFile)
		signer, err := access.EnsureSigner(keyFile)
		if err != nil {
			return err
		}
		warnReadableKey(log, keyFile)
		tokens, err := s.addVerifier(config.tokenFlags, now, signer.Public())
		if err != nil {
			return err
		}
		paths, err := config.templates()
		if err != nil {
			return err
		}
		s.starting("migrating the request logs")
		logsStore, err := logsqlite.Open(ctx, filepath.Join(config.DataDir, logsFile))
		if err != nil {
			return fmt.Errorf("open the request logs: %w", err)
		}
		s.closeLater(logsStore)
		s.starting("migrating the keys")
		authStore, err := authsqlite.Open(ctx, filepath.Join(config.DataDir, "auth.db"))
		if err != nil {
			return fmt.Errorf("open the keys: %w", err)
		}
		s.closeLater(authStore)
		logs, auth := bufconn.Listen(inMemoryBuffer), bufconn.Listen(inMemoryBuffer)
		_, err = s.openLogs(ctx, logsConfig{
			store: logsStore, ping: logsStore.Ping, addr: config.LogsAddr, inMemory: []net.Listener{logs}, tokens: tokens,
			service: logsvc.Config{Retention: config.Retention, SearchBudget: logsvc.DefaultSearchBudget, Now: now, ReadTime: logsStore.Time},
		})
		if err != nil {
			return err
		}
		err = s.openAuth(ctx, authConfig{
			store: authStore, addr: config.AuthAddr, inMemory: []net.Listener{auth}, tokens: tokens,
			tlsCheckers: config.TLSCheckers, agentTypes: config.AgentTypes, agentPaths: config.pathsFlag,
			quota: config.quota(), now: now, maxStaleness: DefaultMaxStaleness,
			logs: inMemory(logs), logsToken: access.NewTokenSource(signer, now),
			trailDir: filepath.Join(config.DataDir, "trail"), trail: config.trailFlags,
		})
		if err != nil {
			return err
		}
		return s.openGateway(ctx, gatewayConfig{
			addr: config.GatewayAddr, auth: inMemory(auth), logs: inMemory(logs), tokens: tokens, origins: config.CORSOrigins,
			agentPaths: paths, console: config.console(config.OIDCIssuers),
		})
	})
}
