package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/internal/fault"
)

// faultCodes is the one table that maps what the domain says to what callers get; grpc-gateway maps the codes on
// to HTTP. Every error that is not in it is internal: the cause is logged, and the caller learns nothing of it.
var faultCodes = map[fault.Kind]codes.Code{
	fault.Invalid:      codes.InvalidArgument,
	fault.NotFound:     codes.NotFound,
	fault.Precondition: codes.FailedPrecondition,
	fault.Unavailable:  codes.Unavailable,
}

// answerErrors turns every error and every panic of a handler into a gRPC status.
func answerErrors(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
		defer func() {
			if p := recover(); p != nil {
				log.ErrorContext(ctx, "panic", "rpc", info.FullMethod, "panic", p, "stack", string(debug.Stack()))
				answer, err = nil, internal
			}
		}()
		if answer, err = next(ctx, req); err == nil {
			return answer, nil
		}
		return nil, toStatus(ctx, log, info.FullMethod, err)
	}
}

// answerStreamErrors is answerErrors of streams.
func answerStreamErrors(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		ctx := stream.Context()
		defer func() {
			if p := recover(); p != nil {
				log.ErrorContext(ctx, "panic", "rpc", info.FullMethod, "panic", p, "stack", string(debug.Stack()))
				err = internal
			}
		}()
		if err = next(service, stream); err == nil {
			return nil
		}
		return toStatus(ctx, log, info.FullMethod, err)
	}
}

var internal = status.Error(codes.Internal, "internal error")

func toStatus(ctx context.Context, log *slog.Logger, method string, err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && faultCodes[f.Kind] != codes.OK {
		return faultStatus(f)
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	log.ErrorContext(ctx, "internal error", "rpc", method, "error", err)
	return internal
}

func faultStatus(f *fault.Error) error {
	if f.Field == "" {
		return status.Error(faultCodes[f.Kind], f.Reason)
	}
	return badRequest(&errdetails.BadRequest_FieldViolation{Field: f.Field, Description: f.Reason})
}

// badRequest is INVALID_ARGUMENT with every wrong field, in the text and as google.rpc.BadRequest.
func badRequest(violations ...*errdetails.BadRequest_FieldViolation) error {
	text := ""
	for i, v := range violations {
		if i > 0 {
			text += "; "
		}
		text += fmt.Sprintf("%s: %s", v.GetField(), v.GetDescription())
	}
	st := status.New(codes.InvalidArgument, text)
	if detailed, err := st.WithDetails(&errdetails.BadRequest{FieldViolations: violations}); err == nil {
		st = detailed
	}
	return st.Err()
}
