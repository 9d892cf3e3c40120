// Package grpcserver is the gRPC server of both services: authorization, limits, validation, errors, health and reflection.
package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"

	"github.com/keytrail/keytrail/internal/access"
)

// drainTimeout is how long the calls in flight may take at shutdown before they are cut off. A process stops its servers
// one after the other, and its supervisor kills it after 10 s (docker stop): four servers and the 3 s of the trail must
// stay below that.
const drainTimeout = 1500 * time.Millisecond

// The maximum sizes of a request. They limit what a call can cost: docs/security.md has the figures.
const (
	AuthMessageBytes = 1 << 20
	LogsMessageBytes = 4 << 20
)

const (
	// maxHeaderBytes is the maximum size of the headers of a call. It is more than the gateway accepts, so that REST refuses
	// first.
	maxHeaderBytes = 128 << 10
	// maxConcurrentCalls is per connection; further calls wait in the client.
	maxConcurrentCalls = 1000
	// streamWorkers are goroutines that take calls one after the other, so that their stacks have grown already. A new one for
	// each call costs 6 to 9 % of the CPU time of a check (`go run ./bench check`). Calls above that get a new one.
	streamWorkers = 64
	// maxConnectionAge is when clients must reconnect, which spreads them over new replicas.
	maxConnectionAge = 5 * time.Minute
	// maxConnectionAgeGrace is how long the calls in flight may then take. It is for long streams.
	maxConnectionAgeGrace = time.Hour
)

// Instrumentation observes calls, refused ones included. The zero value observes nothing.
type Instrumentation struct {
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
	// Stats observes the transport.
	Stats stats.Handler
}

// Config configures a Server.
type Config struct {
	Log             *slog.Logger
	Authorizer      *access.Authorizer
	Instrumentation Instrumentation
	// MaxMessageBytes is the maximum size of a request.
	MaxMessageBytes int
}

// Server is a gRPC server. Services are registered before Run.
type Server struct {
	*grpc.Server
	chain  *chain
	health *health.Server
	log    *slog.Logger
	// stopStreams ends stopping, and with it the open streams and the pauses of connections.
	stopping    context.Context
	stopStreams context.CancelFunc
}

// New returns a server.
func New(config Config) (*Server, error) {
	stopping, stopStreams := context.WithCancel(context.Background())
	chain, err := newChain(stopping, config)
	if err != nil {
		stopStreams()
		return nil, err
	}
	s := &Server{chain: chain, health: health.NewServer(), log: config.Log, stopping: stopping, stopStreams: stopStreams}
	options := []grpc.ServerOption{
		grpc.InTapHandle(s.tap),
		grpc.StreamInterceptor(chain.stream), // RegisterService adds the chain of unary calls
		grpc.Creds(newConnectionTLS()),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(config.MaxMessageBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxConcurrentStreams(maxConcurrentCalls),
		grpc.NumStreamWorkers(streamWorkers),
		// A silent connection would delay the shutdown by this.
		grpc.ConnectionTimeout(drainTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: time.Minute, Timeout: 20 * time.Second,
			MaxConnectionAge: maxConnectionAge, MaxConnectionAgeGrace: maxConnectionAgeGrace,
		}),
		// The gateway and the trail ping every 10 s.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if config.Instrumentation.Stats != nil {
		options = append(options, grpc.StatsHandler(config.Instrumentation.Stats))
	}
	s.Server = grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(s, s.health)
	reflection.Register(s)
	return s, nil
}

// SetReady sets the health of the server, which is SERVING until then.
func (s *Server) SetReady(ready bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
}

// Run serves on the listeners until ctx ends, then ends the open streams, lets calls in flight finish and closes the
// listeners. It returns nil after an orderly stop. It does not start if an RPC has no access rule.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	if err := s.chain.authorizer.ReadRules(s.GetServiceInfo()); err != nil {
		err = fmt.Errorf("serve gRPC: %w", err)
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- s.Serve(l) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serve gRPC: %w", err)
		failed <- nil
	}
	s.shutDown()
	for range listeners {
		if e := <-failed; e != nil && !errors.Is(e, grpc.ErrServerStopped) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// shutDown refuses new calls, ends the streams and waits for the calls in flight.
func (s *Server) shutDown() {
	s.health.Shutdown()
	s.stopStreams()
	timer := time.AfterFunc(drainTimeout, func() {
		s.log.Warn("calls in flight were cut off at shutdown", "after", drainTimeout)
		s.Stop()
	})
	defer timer.Stop()
	s.GracefulStop()
}
