package access

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
)

// Stream is the gate of RPCs with streams. The token is verified before anything else, the workspaces with every
// message that comes; until one has come, nothing may go out. The stream ends when its token expires.
func (g *Gate) Stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	a, err := g.admit(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	if a.rule.open {
		return next(service, stream)
	}
	ctx := context.WithValue(stream.Context(), admitted{}, a)
	ctx, cancel := context.WithTimeoutCause(ctx, a.identity.Expires().Sub(g.verifier.now()), errExpired)
	defer cancel()
	err = next(service, &gatedStream{ServerStream: stream, ctx: ctx, admission: a})
	if err != nil && context.Cause(ctx) == errExpired {
		return errExpired
	}
	return err
}

// gatedStream holds what comes against the rule.
type gatedStream struct {
	grpc.ServerStream
	ctx context.Context
	admission
	// asked is set once a message has passed.
	asked atomic.Bool
}

// Context ends when the token expires.
func (s *gatedStream) Context() context.Context { return s.ctx }

// RecvMsg refuses a message that names a workspace which the token does not hold for.
func (s *gatedStream) RecvMsg(message any) error {
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	if err := s.rule.check(s.identity, message); err != nil {
		return err
	}
	s.asked.Store(true)
	return nil
}

// SendMsg refuses to answer what has not been asked.
func (s *gatedStream) SendMsg(message any) error {
	if !s.asked.Load() && !s.identity.all {
		return s.rule.foreign("")
	}
	return s.ServerStream.SendMsg(message)
}
