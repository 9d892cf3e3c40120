// Package serve is how both services run: their gRPC server, the ops port beside it, and the order in which parts
// start and stop. It knows no service.
package serve

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

// drainTime is how long the calls in flight of one server have to end at shutdown; then they are cut off. A process
// stops its servers one after the other, and its supervisor kills it after 10 s (docker stop): four servers and the
// 3 s of the trail between them stay below that, even if every one of them has a caller that stalls.
const drainTime = 1500 * time.Millisecond

const (
	// maxMessage is the most bytes of a request: what a body of REST may have, too.
	maxMessage = 4 << 20
	// maxHeaders is the most bytes of a call's headers: more than a request of HTTP may have, so that REST refuses first.
	maxHeaders = 2 * maxHTTPHeaders
	// maxCalls is how many calls of one connection are answered at a time; further ones wait on the client's side. The
	// backends of a platform keep some hundreds in flight.
	maxCalls = 1000
	// connectionAge is when clients are asked to connect anew, which brings them to replicas that have come since.
	connectionAge = 5 * time.Minute
	// streamAge is how long the calls in flight then have before they are cut off. No unary call takes that long: this
	// is for exports, which must be able to end, and for tails, which begin again where they were. The old connection
	// costs nobody anything meanwhile.
	streamAge = time.Hour
)

// GRPC is a gRPC server with what every service has: access control, validation, errors from one table, health and reflection.
type GRPC struct {
	*grpc.Server
	watchers *Watchers
	gate     *access.Gate
	health   *health.Server
	log      *slog.Logger
	// endStreams ends the streams that are open.
	endStreams context.CancelFunc
}

// Watchers see each call first: what is refused later, too.
type Watchers struct {
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
	// Stats follows calls below the interceptors; nil = none.
	Stats stats.Handler
}

func (w *Watchers) stats() []grpc.ServerOption {
	if w.Stats == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(w.Stats)}
}

// unwatched let calls pass by.
func unwatched() *Watchers {
	return &Watchers{
		Unary: func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(ctx, request)
		},
		Stream: func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(service, stream)
		},
	}
}

// NewGRPC makes a server. The watchers, which may be nil, see each call first. The gate decides who may call,
// before anything else looks at a request.
func NewGRPC(log *slog.Logger, gate *access.Gate, watchers *Watchers) (*GRPC, error) {
	validation, err := validate()
	if err != nil {
		return nil, err
	}
	if watchers == nil {
		watchers = unwatched()
	}
	stopping, endStreams := context.WithCancel(context.Background())
	s := &GRPC{
		Server: grpc.NewServer(append(watchers.stats(),
			grpc.Creds(newDoor()),
			grpc.ForceServerCodecV2(newFrugal()),
			// What comes before these is in enter.
			grpc.ChainUnaryInterceptor(gate.Unary, validation),
			grpc.ChainStreamInterceptor(watchers.Stream, answerStreamErrors(log), limitReflection(), endWith(stopping), gate.Stream),
			// A connection that never says a word would hold up the stop for as long.
			grpc.ConnectionTimeout(drainTime),
			grpc.KeepaliveParams(keepalive.ServerParameters{
				Time: time.Minute, Timeout: 20 * time.Second, MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: streamAge,
			}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
			grpc.MaxRecvMsgSize(maxMessage),
			grpc.MaxHeaderListSize(maxHeaders),
			grpc.MaxConcurrentStreams(maxCalls),
		)...),
		watchers: watchers, gate: gate, health: health.NewServer(), log: log, endStreams: endStreams,
	}
	grpc_health_v1.RegisterHealthServer(s, s.health)
	reflection.Register(s)
	return s, nil
}

// SetReady says whether calls are welcome, to whoever asks for the health of the server. It is SERVING until then.
func (s *GRPC) SetReady(ready bool) {
	status := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
}

// Run serves on the listeners until ctx ends, then ends the open streams, lets calls in flight end and closes the
// listeners. It answers nil after an orderly stop. It does not begin where the contract does not say who may call one
// of the RPCs.
func (s *GRPC) Run(ctx context.Context, listeners ...net.Listener) error {
	if err := s.gate.Protect(s.GetServiceInfo()); err != nil {
		return errors.Join(fmt.Errorf("serve gRPC: %w", err), closeAll(listeners))
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
	s.stop()
	for range listeners {
		if e := <-failed; e != nil && !errors.Is(e, grpc.ErrServerStopped) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// stop refuses new calls, ends streams, which have no end of their own, and waits for the calls in flight.
func (s *GRPC) stop() {
	s.health.Shutdown()
	s.endStreams()
	cut := time.AfterFunc(drainTime, func() {
		s.log.Warn("calls were cut off at shutdown", "after", drainTime)
		s.Stop()
	})
	defer cut.Stop()
	s.GracefulStop()
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
