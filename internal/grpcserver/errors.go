package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// errorDomain is the domain of every google.rpc.ErrorInfo.
	errorDomain = "keytrail"
	// retryDelay is the delay in the google.rpc.RetryInfo of UNAVAILABLE and TooManySearches.
	retryDelay = time.Second
)

// faultCodes maps faults to gRPC codes; grpc-gateway maps the codes to HTTP. docs/errors.md lists every reason. An error
// that is not a fault is internal: it is logged, and the caller does not see it.
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
	fault.DataLoss:        codes.DataLoss,
	fault.Cancelled:       codes.Canceled,
	fault.Unimplemented:   codes.Unimplemented,
	fault.Unavailable:     codes.Unavailable,
}

var (
	errInternal  = detailed(fault.InternalError, "internal error", nil).Err()
	errCancelled = detailed(fault.CallCancelled, "the caller has cancelled the call", nil).Err()
	errDeadline  = detailed(fault.DeadlineExceeded, "the deadline of the call has passed", nil).Err()
)

// toStatus returns the error that the caller gets for an error of a call.
func (c *chain) toStatus(ctx context.Context, method string, err error) error {
	if context.Cause(ctx) == errStopping {
		err = errStopping
	}
	if fault.KindOf(err) != fault.Internal {
		return Status(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	switch ctx.Err() {
	case context.Canceled:
		return errCancelled
	case context.DeadlineExceeded:
		return errDeadline
	}
	c.log.ErrorContext(ctx, "internal error", "rpc", method, "error", err)
	return errInternal
}

// Status returns the gRPC status of the fault that err is or wraps, with google.rpc.ErrorInfo, google.rpc.BadRequest
// where a field is wrong, and google.rpc.RetryInfo where the call should be repeated. Any other error, nil included, is
// internal.
func Status(err error) *status.Status {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Reason.Kind() == fault.Internal {
		return status.Convert(errInternal)
	}
	if f.Field == "" {
		return detailed(f.Reason, f.Error(), f.Metadata)
	}
	metadata := map[string]string{"field": f.Field}
	maps.Copy(metadata, f.Metadata)
	return detailed(f.Reason, f.Error(), metadata, badRequest(violation(f.Field, f.Message)))
}

// detailed returns a status with ErrorInfo, RetryInfo if the call should be repeated, and other details.
func detailed(reason fault.Reason, message string, metadata map[string]string, others ...protoadapt.MessageV1) *status.Status {
	st := status.New(faultCodes[reason.Kind()], message)
	details := append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason.String(), Domain: errorDomain, Metadata: metadata}}, others...)
	// A stored change must not be repeated: a deletion would not find the key, and an update would not match the etag.
	if reason.Kind() == fault.Unavailable && reason != fault.ChangeNotInForce || reason == fault.TooManySearches {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)})
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

// invalidFields returns the status of a request with at least one wrong field. All of them are in the text and in the
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
