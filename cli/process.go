package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/keytrail/keytrail/internal/serve"
	"github.com/keytrail/keytrail/internal/telemetry"
)

// Server is one process with the parts that it was told to run; the others are nil.
type Server struct {
	log     *slog.Logger
	logs    *logsPart
	auth    *authPart
	gateway *httpPart
	ops     *httpPart
	checks  serve.Checks
	closers closers
	// telemetry is how the process is seen.
	telemetry *telemetry.Process
	// entrance is how calls come in over the network.
	entrance entrance
	// stopping is set from the beginning of the end.
	stopping atomic.Bool
	// ready is whether it was ready when it last looked.
	ready atomic.Bool
}

// newServer makes a process that runs a part, or all, and fills it; an error closes what was opened.
func newServer(part string, log *slog.Logger, opsAddr string, secured listenFlags, fill func(*Server) error) (_ *Server, err error) {
	s := &Server{log: log, checks: serve.Checks{}}
	if s.entrance, err = secured.entrance(log); err != nil {
		return nil, err
	}
	s.checks["process"] = s.serving
	defer func() {
		if err != nil {
			err = s.closers.closeAfter(err)
		}
	}()
	if s.telemetry, err = telemetry.New(part, Version()); err != nil {
		return nil, err
	}
	s.closers.add(s.telemetry)
	if err := s.telemetry.Register(s.processMetrics()...); err != nil {
		return nil, err
	}
	if err := fill(s); err != nil {
		return nil, err
	}
	s.ops, err = newOpsPart(opsAddr, serve.Ops(s.checks, s.telemetry.Metrics), log, &s.closers)
	return s, err
}

// Run works until ctx ends or a part fails, then ends the parts in order: readiness, REST, the checks, the trail, the
// request logs, the ops port. It answers nil after an orderly stop, with everything stored and closed.
func (s *Server) Run(ctx context.Context) error {
	parts := []serve.Run{s.ops.run}
	if s.logs != nil {
		parts = append(parts, s.logs.run)
	}
	if s.auth != nil {
		parts = append(parts, s.auth.ship, s.auth.run)
	}
	if s.gateway != nil {
		parts = append(parts, s.gateway.run)
	}
	s.tellHealth(s.checks.Ready(ctx))
	err := serve.InOrder(ctx, append(parts, s.watchHealth)...)
	s.log.Info("stopped")
	return s.closers.closeAfter(err)
}

// serving is the readiness of the process.
func (s *Server) serving(context.Context) error {
	if s.stopping.Load() {
		return errors.New("stopping")
	}
	return nil
}

// lookEvery is how often the process looks whether it is ready, for those who ask its gRPC servers and its metrics.
const lookEvery = 2 * time.Second

// watchHealth is the last part, so the first to be told of the end: from then on the process is not ready.
func (s *Server) watchHealth(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.stopping.Store(true)
			s.tellHealth(false)
			return nil
		case <-tick.C:
			s.tellHealth(s.checks.Ready(ctx))
		}
	}
}

// tellHealth makes the health of the gRPC servers, which load balancers look at, say what /readyz says.
func (s *Server) tellHealth(ready bool) {
	s.ready.Store(ready)
	if s.logs != nil {
		s.logs.server.SetReady(ready)
	}
	if s.auth != nil {
		s.auth.server.SetReady(ready)
	}
}

// GatewayAddr is where REST is served.
func (s *Server) GatewayAddr() string { return s.gateway.listener.Addr().String() }

// AuthAddr is where the auth service's gRPC is served.
func (s *Server) AuthAddr() string { return s.auth.listener.Addr().String() }

// LogsAddr is where the log service's gRPC is served.
func (s *Server) LogsAddr() string { return s.logs.listener.Addr().String() }

// OpsAddr is where health is served.
func (s *Server) OpsAddr() string { return s.ops.listener.Addr().String() }

// listenGRPC opens a TCP address for gRPC, in TLS where the process has a certificate.
func (s *Server) listenGRPC(flag, addr string) (net.Listener, error) {
	l, err := s.listen(flag, addr)
	if err != nil || s.entrance.certificate == nil {
		return l, err
	}
	return serve.Secured(l, s.entrance.certificate.ServerConfig(s.entrance.clients, "h2")), nil
}

// listenHTTP opens a TCP address for REST, likewise. Browsers have no certificate: none is asked for.
func (s *Server) listenHTTP(flag, addr string) (net.Listener, error) {
	l, err := s.listen(flag, addr)
	if err != nil || s.entrance.certificate == nil {
		return l, err
	}
	return tls.NewListener(l, s.entrance.certificate.ServerConfig(nil, "h2", "http/1.1")), nil
}

func (s *Server) listen(flag, addr string) (net.Listener, error) {
	if err := s.entrance.check(flag, addr); err != nil {
		return nil, err
	}
	return listen(flag, addr, &s.closers)
}

// listen opens a TCP address; the flag is named where that fails.
func listen(flag, addr string, to *closers) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	to.add(l)
	return l, nil
}

// closers are closed in the reverse order of their opening.
type closers []io.Closer

func (c *closers) add(closer io.Closer) { *c = append(*c, closer) }

// closeAfter closes them all and answers err with whatever closing added. A listener that its server has closed
// already is no mistake.
func (c *closers) closeAfter(err error) error {
	for i := len(*c) - 1; i >= 0; i-- {
		if e := (*c)[i].Close(); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	*c = nil
	return err
}
