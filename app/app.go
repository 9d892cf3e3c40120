// Package app wires the parts of Keytrail into processes: the listeners with their TLS, the connections between the
// parts, readiness, metrics, and the order of start and stop.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/httpserver"
	"github.com/keytrail/keytrail/internal/lifecycle"
	"github.com/keytrail/keytrail/internal/telemetry"
)

// Server is a process that runs one part, or all of them.
type Server struct {
	log       *slog.Logger
	part      string
	tls       listenTLS
	telemetry *telemetry.Process
	// checks decide whether the process is ready.
	checks httpserver.Checks
	// parts run at once, and are stopped in reverse order.
	parts []lifecycle.Part
	grpc  []*grpcserver.Server
	// resources are closed in reverse order after the parts have stopped.
	resources []io.Closer

	gatewayAddr, authAddr, logsAddr, opsAddr net.Addr
	listening                                []any // flags and addresses for the log

	// doing returns what the start is doing. serving is set when the start is over, and stopping when shutdown begins; ready is
	// the result of the latest readiness check.
	doing                    atomic.Pointer[func() string]
	serving, stopping, ready atomic.Bool
}

// newServer returns a server with the part that open adds to it. The ops port is open meanwhile. It closes everything that was
// opened if it fails.
func newServer(part string, log *slog.Logger, opsAddr string, flags listenFlags, open func(*Server) error) (_ *Server, err error) {
	s := &Server{log: log, part: part, checks: httpserver.Checks{}}
	if s.tls, err = flags.load(log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.telemetry, err = telemetry.New(part, Version()); err != nil {
		return nil, err
	}
	s.closeLater(s.telemetry)
	s.checks["process"] = func(context.Context) error {
		if s.stopping.Load() {
			return errors.New("stopping")
		}
		return nil
	}
	if err := s.telemetry.Register(s.processMetrics()...); err != nil {
		return nil, err
	}
	s.starting("opening the parts")
	if err := s.openOperatorPorts(opsAddr, flags.PprofAddr); err != nil {
		return nil, err
	}
	if err := open(s); err != nil {
		return nil, err
	}
	s.checks.Bound()
	return s, nil
}

// Run serves until ctx ends or a part fails. It then stops the parts in this order: readiness, gateway, auth service,
// trail, log service, ops port. It returns nil after an orderly stop, with everything stored and closed.
func (s *Server) Run(ctx context.Context) error {
	s.log.Info("serving", append([]any{"version", Version(), "part", s.part}, s.listening...)...)
	s.serving.Store(true)
	s.setReady(s.checks.Ready(ctx))
	err := lifecycle.Run(ctx, append(s.parts, s.watchReadiness)...)
	s.log.Info("stopped")
	return errors.Join(err, s.Close())
}

// Close releases what the server holds. Run does so by itself.
func (s *Server) Close() error {
	var errs []error
	for _, resource := range slices.Backward(s.resources) {
		// A server has closed its own listeners already.
		if err := resource.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.resources = nil
	return errors.Join(errs...)
}

func (s *Server) closeLater(resource io.Closer) { s.resources = append(s.resources, resource) }

// readinessInterval is how often the health of the gRPC servers and the metric are updated.
const readinessInterval = 2 * time.Second

// watchReadiness is the last part and therefore stops first: from then on the process is not ready.
func (s *Server) watchReadiness(ctx context.Context) error {
	ticker := time.NewTicker(readinessInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.stopping.Store(true)
			s.setReady(false)
			return nil
		case <-ticker.C:
			s.setReady(s.checks.Ready(ctx))
		}
	}
}

// setReady updates the health of the gRPC servers, which load balancers watch, and the metric.
func (s *Server) setReady(ready bool) {
	s.ready.Store(ready)
	for _, server := range s.grpc {
		server.SetReady(ready)
	}
}

// TLS reports whether the ports of the server use TLS.
func (s *Server) TLS() bool { return s.tls.certificate != nil }

// GatewayAddr returns the address of REST.
func (s *Server) GatewayAddr() string { return s.gatewayAddr.String() }

// AuthAddr returns the address of the auth service's gRPC.
func (s *Server) AuthAddr() string { return s.authAddr.String() }

// LogsAddr returns the address of the log service's gRPC.
func (s *Server) LogsAddr() string { return s.logsAddr.String() }

// OpsAddr returns the address of health and metrics.
func (s *Server) OpsAddr() string { return s.opsAddr.String() }

// serveHTTP returns a part that serves HTTP on a listener.
func (s *Server) serveHTTP(listener net.Listener, handler http.Handler) lifecycle.Part {
	return func(ctx context.Context) error { return httpserver.Serve(ctx, listener, handler, s.log) }
}

// serveGRPC adds a gRPC server. It must be registered already.
func (s *Server) serveGRPC(server *grpcserver.Server, listeners ...net.Listener) {
	s.grpc = append(s.grpc, server)
	s.parts = append(s.parts, func(ctx context.Context) error { return server.Run(ctx, listeners...) })
}

// background returns a part that does not fail.
func background(run func(context.Context)) lifecycle.Part {
	return func(ctx context.Context) error {
		run(ctx)
		return nil
	}
}

// Builds that cannot see the repository set these: -ldflags "-X …/app.stampedVersion=v1 -X …/app.stampedRevision=…".
var stampedVersion, stampedRevision string

// Version returns the version of the module, with the revision if the build knows it.
func Version() string {
	if stampedVersion != "" {
		return fmt.Sprintf("%s (%.12s)", stampedVersion, stampedRevision)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return fmt.Sprintf("%s (%.12s)", info.Main.Version, setting.Value)
		}
	}
	return info.Main.Version
}
