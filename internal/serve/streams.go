package serve

import (
	"context"

	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/internal/fault"
)

// errStopping ends streams at shutdown: clients take it as a sign to come back, on another replica.
var errStopping = fault.New(fault.ServerStopping, "the server is stopping")

// endWith ends every stream when stopping ends: streams that follow something would hold up the shutdown for ever.
func endWith(stopping context.Context) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, cancel := context.WithCancelCause(stream.Context())
		defer cancel(nil)
		defer context.AfterFunc(stopping, func() { cancel(errStopping) })()
		var ending grpc.ServerStream = &endingStream{ServerStream: stream, ctx: ctx}
		if info.IsClientStream {
			ending = listeningStream{ending}
		} else {
			ending = promptStream{ending, arrivalTime(info.FullMethod)}
		}
		err := next(service, ending)
		if err != nil && context.Cause(ctx) == errStopping {
			return errStopping
		}
		return err
	}
}

// endingStream has a context that ends with the server.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context is what handlers must heed.
func (s *endingStream) Context() context.Context { return s.ctx }

// listeningStream is a stream whose client may send for ever: the wait for it ends with the server, too.
type listeningStream struct{ grpc.ServerStream }

// RecvMsg leaves a read behind when the server stops; it ends with the stream.
func (s listeningStream) RecvMsg(message any) error {
	received := make(chan error, 1)
	go func() { received <- s.ServerStream.RecvMsg(message) }()
	select {
	case err := <-received:
		return err
	case <-s.Context().Done():
		return context.Cause(s.Context())
	}
}
