package grpcserver

import (
	"context"

	"google.golang.org/grpc/tap"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
)

var (
	errStopping     = fault.New(fault.ServerStopping, "the server is stopping")
	errTokenExpired = fault.New(fault.TokenInvalid, "the token or the client certificate has expired")
)

// tap runs in the goroutine that reads from a connection, before a call begins. It refuses nothing: see RegisterService. While
// calls are refused, it makes those wait that will be refused, too; without refused calls it verifies no token.
//
// It gives streams, which may not end by themselves, a context that ends with the server.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	needsToken, stream := s.chain.authorizer.Kind(info.FullMethodName)
	if !needsToken {
		s.chain.pace.wait()
	} else if s.chain.pace.refusing.Load() || len(info.Header["authorization"]) == 0 {
		ctx = s.chain.waitIfRefused(ctx, info)
	}
	if !stream {
		return ctx, nil
	}
	stoppable, cancel := context.WithCancelCause(ctx)
	release := context.AfterFunc(s.stopping, func() { cancel(errStopping) })
	context.AfterFunc(ctx, func() { release(); cancel(nil) })
	return context.WithValue(stoppable, ender{}, cancel), nil
}

// ender is the key of the function, in the context of a stream, that ends it also where it waits for a message.
type ender struct{}

// refusal is the key of the error, in the context of a call that will be refused, that its caller gets.
type refusal struct{}

func (c *chain) waitIfRefused(ctx context.Context, info *tap.Info) context.Context {
	_, err := c.authorizer.Authenticate(ctx, info.FullMethodName, info.Header["authorization"])
	if err == nil {
		c.pace.relax()
		return ctx
	}
	c.pace.wait()
	return context.WithValue(ctx, refusal{}, err)
}

// withTokenDeadline ends a stream when the token of its caller, or the client certificate, expires. Where it waits for a message,
// grpc-go (1.85) sends CANCELLED to the caller, as it does when the server stops.
func withTokenDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	identity, ok := access.FromContext(ctx)
	if !ok {
		return ctx, func() {}
	}
	limited, cancel := context.WithDeadlineCause(ctx, identity.Expires(), errTokenExpired)
	end, ok := ctx.Value(ender{}).(context.CancelCauseFunc)
	if !ok {
		return limited, cancel
	}
	// The end of the call must not end the context with which its error is reported.
	release := context.AfterFunc(limited, func() { end(errTokenExpired) })
	return limited, func() { release(); cancel() }
}
