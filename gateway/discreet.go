package gateway

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/serve"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// discreet is a connection whose own errors tell nothing: gRPC writes addresses and what is wrong with certificates into
// them. They are for the log. What a service has answered passes as it is.
type discreet struct {
	grpc.ClientConnInterface
	log *slog.Logger
}

// Invoke implements grpc.ClientConnInterface. A check gets a call id, if it has none, before the connection repeats it
// on another replica: the call then has one row.
func (d discreet) Invoke(ctx context.Context, method string, request, answer any, options ...grpc.CallOption) error {
	if check, ok := request.(*authv1.CheckRequest); ok && check.GetCallId() == "" {
		check.CallId = uuid7.New(time.Now()).String()
	}
	var header, trailer metadata.MD
	err := d.ClientConnInterface.Invoke(ctx, method, request, answer, append(options, grpc.Header(&header), grpc.Trailer(&trailer))...)
	st := status.Convert(err)
	if err == nil || reasonOf(st) != "" {
		return err
	}
	// Every answer has metadata, its content type at the least.
	return d.ownError(ctx, method, st, len(header)+len(trailer) > 0)
}

// ownError returns what callers are told of an error that gRPC itself has made, here or at the service.
func (d discreet) ownError(ctx context.Context, method string, st *status.Status, answered bool) error {
	var told error
	switch {
	case st.Code() == codes.Canceled:
		told = fault.New(fault.CallCancelled, "the call was cancelled")
	case st.Code() == codes.DeadlineExceeded:
		told = fault.New(fault.DeadlineExceeded, "the service did not answer in time")
	case answered && st.Code() == codes.Unimplemented:
		told = fault.New(fault.MethodUnknown, "the service is of a release without this method")
	case answered && st.Code() != codes.Unavailable:
		d.log.ErrorContext(ctx, "a service cannot answer a call", "rpc", method, "error", st.Err())
		told = fault.New(fault.InternalError, "internal error")
	default:
		d.log.ErrorContext(ctx, "a service cannot be reached", "rpc", method, "error", st.Err())
		told = fault.New(fault.ServiceUnreachable, "the service cannot be reached; try again later")
	}
	return serve.Status(told).Err()
}
