package cli

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/keytrail/keytrail/gateway"
	"github.com/keytrail/keytrail/internal/serve"
)

// gatewayConfig is what the gateway is made of.
type gatewayConfig struct {
	addr       string
	auth, logs connect
	origins    []string
}

// httpPart is an HTTP handler with its listener.
type httpPart struct {
	handler  http.Handler
	listener net.Listener
	log      *slog.Logger
}

func (s *Server) openGateway(ctx context.Context, config gatewayConfig) error {
	auth, err := config.auth(&s.closers, s.telemetry.DialOptions()...)
	if err != nil {
		return err
	}
	logs, err := config.logs(&s.closers, s.telemetry.DialOptions()...)
	if err != nil {
		return err
	}
	listener, err := s.listenHTTP("--gateway-addr", config.addr)
	if err != nil {
		return err
	}
	handler, err := gateway.New(context.WithoutCancel(ctx), gateway.Config{
		Auth: auth, Logs: logs, CORSOrigins: config.origins, Loopback: loopback(listener), Log: s.log,
	})
	if err != nil {
		return err
	}
	s.gateway = &httpPart{handler: s.telemetry.REST(handler), listener: listener, log: s.log}
	return nil
}

// loopback tells whether only this machine can reach a listener.
func loopback(listener net.Listener) bool {
	addr, ok := listener.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

func newOpsPart(addr string, handler http.Handler, log *slog.Logger, to *closers) (*httpPart, error) {
	listener, err := listen("--ops-addr", addr, to)
	return &httpPart{handler: handler, listener: listener, log: log}, err
}

func (p *httpPart) run(ctx context.Context) error {
	return serve.HTTP(ctx, p.listener, p.handler, p.log)
}
