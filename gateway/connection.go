package gateway

import (
	"context"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// connection is a connection to a service. It replaces the errors of gRPC itself, which contain addresses and details of
// certificates; those are logged. Errors that the service returns pass unchanged.
type connection struct {
	grpc.ClientConnInterface
	// maxMessageBytes is the maximum size of a request that the service accepts.
	maxMessageBytes int
	// ids makes the call ids of checks.
	ids *uuid7.Generator
	log *slog.Logger
}

// Invoke implements grpc.ClientConnInterface. It gives a check a call id before the connection can retry it on another
// replica, so that the call has one row.
func (c connection) Invoke(ctx context.Context, method string, request, response any, options ...grpc.CallOption) error {
	if check, ok := request.(*authv1.CheckRequest); ok && check.GetCallId() == "" {
		check.CallId = c.ids.New(time.Now()).String()
	}
	var header, trailer metadata.MD
	options = append(options, grpc.Header(&header), grpc.Trailer(&trailer), grpc.MaxCallSendMsgSize(c.maxMessageBytes))
	err := c.ClientConnInterface.Invoke(ctx, method, request, response, options...)
	st := status.Convert(err)
	if err == nil || reasonOf(st) != "" {
		return err
	}
	// A response has metadata, at least its content type.
	return c.publicError(ctx, method, st, len(header)+len(trailer) > 0)
}

// NewStream implements grpc.ClientConnInterface.
func (c connection) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	stream, err := c.ClientConnInterface.NewStream(ctx, desc, method, options...)
	if err != nil {
		return nil, c.publicError(ctx, method, status.Convert(err), false)
	}
	return &clientStream{ClientStream: stream, connection: c, method: method}, nil
}

// errUnreachable is what the caller sees of a service that cannot be reached.
var errUnreachable = grpcserver.Status(
	fault.New(fault.ServiceUnreachable, "the service cannot be reached; try again later"),
).Err()

// clientStream replaces errors as its connection does.
type clientStream struct {
	grpc.ClientStream
	connection connection
	method     string
	// begun is whether a message has come.
	begun bool
}

// RecvMsg implements grpc.ClientStream.
func (s *clientStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil {
		s.begun = true
	}
	st := status.Convert(err)
	if err == nil || err == io.EOF || reasonOf(st) != "" {
		return err
	}
	// A service closes a connection of a certain age, which is no fault.
	if s.begun && st.Code() == codes.Unavailable {
		s.connection.log.InfoContext(s.Context(), "a stream was cut off", "rpc", s.method, "error", err)
		return errUnreachable
	}
	header, _ := s.Header() // its error is err
	return s.connection.publicError(s.Context(), s.method, st, len(header)+len(s.Trailer()) > 0)
}

// publicError returns what the caller sees of an error that gRPC itself made, here or at the service.
func (c connection) publicError(ctx context.Context, method string, st *status.Status, responded bool) error {
	var public error
	switch {
	case st.Code() == codes.Canceled:
		public = fault.New(fault.CallCancelled, "the call was cancelled")
	case st.Code() == codes.DeadlineExceeded:
		public = fault.New(fault.DeadlineExceeded, "the service did not answer in time")
	case !responded && st.Code() == codes.ResourceExhausted:
		public = fault.New(fault.BodyTooLarge, "the request has more than %d bytes: send less at a time", c.maxMessageBytes)
	case responded && st.Code() == codes.Unimplemented:
		public = fault.New(fault.MethodUnknown, "the service is of a release without this method")
	case responded && st.Code() != codes.Unavailable:
		c.log.ErrorContext(ctx, "call to a service failed", "rpc", method, "error", st.Err())
		public = fault.New(fault.InternalError, "internal error")
	default:
		c.log.ErrorContext(ctx, "cannot reach a service", "rpc", method, "error", st.Err())
		return errUnreachable
	}
	return grpcserver.Status(public).Err()
}
