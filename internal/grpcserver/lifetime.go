package grpcserver

import (
	"context"

	"google.golang.org/grpc/tap"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
)

var (
	errStopping     = fault.New(fault.ServerStopping, "the server is stopping")
	errTokenExpired = fault.New(fault.TokenInvalid, "the token has expired")
)

// tap runs in the goroutine that reads from a connection, before a call begins. It refuses nothing: see RegisterService.
// While calls are refused, it slows down calls that may have to be refused, too. Without refused calls it does not wait, because
// that costs a tenth of the CPU time of a check.
//
// It gives streams, which may not end by themselves, a context that ends with the server.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	needsToken, stream := s.chain.authorizer.Kind(info.FullMethodName)
	if !needsToken || s.chain.pace.refusing.Load() && !s.chain.authorizer.Knows(info.Header["authorization"]) {
		s.chain.pace.wait(ctx)
	}
	if !stream {
		return ctx, nil
	}
	stoppable, cancel := context.WithCancelCause(ctx)
	release := context.AfterFunc(s.stopping, func() { cancel(errStopping) })
	context.AfterFunc(ctx, func() { release(); cancel(nil) })
	return stoppable, nil
}

// withTokenDeadline ends a stream when the token of its caller expires.
func withTokenDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if identity, ok := access.FromContext(ctx); ok {
		return context.WithDeadlineCause(ctx, identity.Expires(), errTokenExpired)
	}
	return ctx, func() {}
}
