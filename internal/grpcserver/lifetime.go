package grpcserver

import (
	"context"
	"time"

	"google.golang.org/grpc/tap"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
)

// openCallTimeout bounds a call that needs no token: its caller could otherwise hold the server's memory by never
// completing its request.
const openCallTimeout = 5 * time.Second

var (
	errStopping     = fault.New(fault.ServerStopping, "the server is stopping")
	errTokenExpired = fault.New(fault.TokenInvalid, "the token has expired")
)

// tap gives calls that may not end by themselves a context that ends. grpc-go reads from the connection with the context
// that it returns. It refuses nothing: see RegisterService.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	switch method := info.FullMethodName; {
	case s.chain.authorizer.IsOpen(method):
		timed, cancel := context.WithTimeout(ctx, openCallTimeout)
		context.AfterFunc(ctx, cancel)
		return timed, nil
	case s.chain.authorizer.IsStream(method):
		stoppable, cancel := context.WithCancelCause(ctx)
		release := context.AfterFunc(s.stopping, func() { cancel(errStopping) })
		context.AfterFunc(ctx, func() { release(); cancel(nil) })
		return stoppable, nil
	}
	return ctx, nil
}

// withTokenDeadline ends a stream when the token of its caller expires.
func withTokenDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if identity, ok := access.FromContext(ctx); ok {
		return context.WithDeadlineCause(ctx, identity.Expires(), errTokenExpired)
	}
	return ctx, func() {}
}
