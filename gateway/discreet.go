package gateway

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// discreet is a connection whose own errors tell nothing: gRPC writes addresses and what is wrong with certificates into
// them. They are for the log. What a service has answered passes as it is.
type discreet struct {
	grpc.ClientConnInterface
	log *slog.Logger
}

// Invoke implements grpc.ClientConnInterface.
func (d discreet) Invoke(ctx context.Context, method string, request, answer any, options ...grpc.CallOption) error {
	var header, trailer metadata.MD
	err := d.ClientConnInterface.Invoke(ctx, method, request, answer, append(options, grpc.Header(&header), grpc.Trailer(&trailer))...)
	// Every answer has metadata, its content type at the least.
	if err == nil || len(header)+len(trailer) > 0 {
		return err
	}
	switch code := status.Code(err); code {
	case codes.Canceled:
		return status.Error(code, "the call was cancelled")
	case codes.DeadlineExceeded:
		return status.Error(code, "the service did not answer in time")
	default:
		d.log.ErrorContext(ctx, "a service cannot be reached", "rpc", method, "error", err)
		return status.Error(codes.Unavailable, "the service cannot be reached; try again later")
	}
}
