package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/keytrail/keytrail/gateway"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
)

// GatewayConfig configures `keytrail gateway`.
type GatewayConfig struct {
	tokenFlags  `embed:""`
	listenFlags `embed:""`
	DialFlags   `embed:""`

	GatewayAddr string   `default:"127.0.0.1:8080" help:"Address to serve REST on. On a loopback address only requests for localhost and loopback addresses are accepted."`
	AuthAddr    string   `default:"127.0.0.1:7001" help:"Address of the auth service. If it is a DNS name with several addresses, calls are spread over them."`
	LogsAddr    string   `default:"127.0.0.1:7002" help:"Address of the log service, likewise."`
	OpsAddr     string   `default:"127.0.0.1:9103" help:"Address to serve /healthz, /readyz and /metrics on."`
	CORSOrigins []string `name:"cors-origins" help:"Web origins whose pages may call the gateway, e.g. https://console.example.com."`

	pathsFlag    `embed:""`
	consoleFlags `embed:""`
}

// Validate implements kong's validation.
func (c GatewayConfig) Validate() error {
	return errors.Join(validateOrigins(c.CORSOrigins), c.pathsFlag.validate(), c.tokenFlags.validateRequired(),
		c.consoleFlags.validate(c.OIDCIssuers))
}

// NewGatewayServer returns a server that runs the gateway. The caller must call Run or Close.
func NewGatewayServer(ctx context.Context, config GatewayConfig, log *slog.Logger) (*Server, error) {
	return newServer("gateway", log, config.OpsAddr, config.listenFlags, func(s *Server) error {
		tokens, err := s.addVerifier(config.tokenFlags, time.Now)
		if err != nil {
			return err
		}
		paths, err := config.templates()
		if err != nil {
			return err
		}
		return s.openGateway(ctx, gatewayConfig{
			addr: config.GatewayAddr, tokens: tokens, origins: config.CORSOrigins, agentPaths: paths,
			console: config.console(config.OIDCIssuers),
			auth:    config.remote("--auth-addr", config.AuthAddr, config.InsecureFlag, log),
			logs:    config.remote("--logs-addr", config.LogsAddr, config.InsecureFlag, log),
		})
	})
}

// gatewayConfig is what the gateway needs, wherever the services are.
type gatewayConfig struct {
	addr       string
	auth, logs dialFunc
	tokens     *access.Verifier
	origins    []string
	agentPaths agentpath.Templates
	console    gateway.Console
}

// openGateway adds the gateway.
func (s *Server) openGateway(ctx context.Context, config gatewayConfig) error {
	auth, err := config.auth(s)
	if err != nil {
		return err
	}
	logs, err := config.logs(s)
	if err != nil {
		return err
	}
	listener, err := s.listenHTTP("--gateway-addr", config.addr)
	if err != nil {
		return err
	}
	handler, err := gateway.New(context.WithoutCancel(ctx), gateway.Config{
		Auth: auth, Logs: logs, Verifier: config.tokens, Observe: s.telemetry.Instrumentation().Unary,
		CORSOrigins: config.origins, AgentPaths: config.agentPaths, Console: config.console,
		Loopback: IsLoopback(listener.Addr().String()), Log: s.log,
	})
	if err != nil {
		return err
	}
	s.gatewayAddr = listener.Addr()
	s.parts = append(s.parts, s.serveHTTP(listener, s.telemetry.REST(handler)))
	return nil
}
