package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// errorDomain is the domain of the google.rpc.ErrorInfo of every error that Keytrail makes.
	errorDomain = "keytrail"
	// retryAfter is how long callers should wait before they repeat a call that is answered UNAVAILABLE with RetryInfo.
	retryAfter = time.Second
)

// faultCodes is the one table that maps faults to gRPC codes; grpc-gateway maps the codes on to HTTP. docs/errors.md
// lists every reason. An error that is no fault is internal: its text is logged, and the caller learns nothing of it.
var faultCodes = map[fault.Kind]codes.Code{
	fault.Internal:        codes.Internal,
	fault.Invalid:         codes.InvalidArgument,
	fault.NotFound:        codes.NotFound,
	fault.AlreadyExists:   codes.AlreadyExists,
	fault.Precondition:    codes.FailedPrecondition,
	fault.Aborted:         codes.Aborted,
	fault.Unauthenticated: codes.Unauthenticated,
	fault.Forbidden:       codes.PermissionDenied,
	fault.Exhausted:       codes.ResourceExhausted,
	fault.Late:            codes.DeadlineExceeded,
	fault.Cancelled:       codes.Canceled,
	fault.Unimplemented:   codes.Unimplemented,
	fault.Unavailable:     codes.Unavailable,
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

var (
	internal  = detailed(fault.InternalError, "internal error", nil).Err()
	cancelled = detailed(fault.CallCancelled, "the caller has cancelled the call", nil).Err()
	late      = detailed(fault.DeadlineExceeded, "the deadline of the call has passed", nil).Err()
)

func toStatus(ctx context.Context, log *slog.Logger, method string, err error) error {
	if fault.KindOf(err) != fault.Internal {
		return Status(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	switch ctx.Err() {
	case context.Canceled:
		return cancelled
	case context.DeadlineExceeded:
		return late
	}
	log.ErrorContext(ctx, "internal error", "rpc", method, "error", err)
	return internal
}

// Status returns the gRPC status of the fault that err is or wraps, with google.rpc.ErrorInfo, google.rpc.BadRequest
// where a field is wrong, and google.rpc.RetryInfo where the call should be repeated. Any other error, nil included, is
// internal.
func Status(err error) *status.Status {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Reason.Kind() == fault.Internal {
		return status.Convert(internal)
	}
	if f.Field == "" {
		return detailed(f.Reason, f.Error(), f.Metadata)
	}
	metadata := map[string]string{"field": f.Field}
	maps.Copy(metadata, f.Metadata)
	return detailed(f.Reason, f.Error(), metadata, badRequest(violation(f.Field, f.Message)))
}

// detailed makes a status with the details of its reason and others.
func detailed(reason fault.Reason, message string, metadata map[string]string, others ...protoadapt.MessageV1) *status.Status {
	st := status.New(faultCodes[reason.Kind()], message)
	details := append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason.String(), Domain: errorDomain, Metadata: metadata}}, others...)
	// A change that is stored must not be repeated: a deletion would not find the key, and an update its etag.
	if reason.Kind() == fault.Unavailable && reason != fault.ChangeNotInForce {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)})
	}
	with, err := st.WithDetails(details...)
	if err != nil {
		return st // a text that is not UTF-8 cannot be a detail
	}
	return with
}

func violation(field, description string) *errdetails.BadRequest_FieldViolation {
	return &errdetails.BadRequest_FieldViolation{Field: field, Description: description}
}

func badRequest(violations ...*errdetails.BadRequest_FieldViolation) *errdetails.BadRequest {
	return &errdetails.BadRequest{FieldViolations: violations}
}

// invalidFields makes the status of a request with wrong fields, at least one. All of them are in the text and in the
// details; the metadata names the first.
func invalidFields(violations []*errdetails.BadRequest_FieldViolation) error {
	text := ""
	for i, v := range violations {
		if i > 0 {
			text += "; "
		}
		text += fmt.Sprintf("%s: %s", v.GetField(), v.GetDescription())
	}
	metadata := map[string]string{"field": violations[0].GetField()}
	return detailed(fault.FieldInvalid, text, metadata, badRequest(violations...)).Err()
}
