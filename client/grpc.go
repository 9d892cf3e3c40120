package client

import (
	"context"
	"net/http"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// UnaryServerInterceptor returns the interceptor of unary calls.
//
// The API key is in the metadata of the call. A denied call ends with UNAUTHENTICATED (HTTP 401) or PERMISSION_DENIED and a
// google.rpc.ErrorInfo: its domain is keytrail, its reason the error code in upper case (MISSING_TOKEN), and its metadata has
// fix and, where there is one, cause. A call that could not be checked ends with UNAVAILABLE.
//
// The row's method is POST and its endpoint /package.Service/Method. Its status is that of HTTP for the call's code, as
// grpc-gateway has it; 499 if the caller cancelled, 504 if its deadline passed, 500 after a panic, which goes on.
//
// Health checks (grpc.health.v1) are served unchecked.
func (c *Client) UnaryServerInterceptor() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
		err = c.intercept(ctx, info.FullMethod, request, func(ctx context.Context) (err error) {
			response, err = handler(ctx, request)
			return err
		})
		return response, err
	}
}

// StreamServerInterceptor is UnaryServerInterceptor for streams. A stream is one call: its latency is measured until it ends.
func (c *Client) StreamServerInterceptor() grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return c.intercept(stream.Context(), info.FullMethod, nil, func(ctx context.Context) error {
			return handler(server, &streamWithContext{stream, ctx})
		})
	}
}

type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *streamWithContext) Context() context.Context { return s.ctx }

const healthService = "/grpc.health.v1.Health/"

// intercept checks a call, serves it if it is allowed, and reports it.
func (c *Client) intercept(ctx context.Context, fullMethod string, request any, serve func(context.Context) error) (err error) {
	if strings.HasPrefix(fullMethod, healthService) {
		return serve(ctx)
	}
	arrived := time.Now()
	v := c.decide(ctx, c.agentOfMethod(ctx, fullMethod, request), c.requestOfMethod(ctx, fullMethod), arrived)
	returned := false
	if v.token != "" {
		defer func() { c.reporter.add(v.token, outcomeOf(ctx, err, returned), time.Since(arrived)) }()
	}
	if v.refusal != nil {
		err = v.refusal.status().Err()
	} else {
		err = serve(v.context(ctx))
	}
	returned = true
	return err
}

func (c *Client) requestOfMethod(ctx context.Context, fullMethod string) *authv1.CheckRequest {
	secret := c.secretOf(func(name string) []string { return metadata.ValueFromIncomingContext(ctx, name) })
	return &authv1.CheckRequest{ApiKey: text(secret, maxSecret), Method: http.MethodPost, Endpoint: text(fullMethod, maxEndpoint)}
}

// status returns the gRPC status of a refusal.
func (r *refusal) status() *status.Status {
	code := codes.PermissionDenied
	switch r.Status {
	case http.StatusUnauthorized:
		code = codes.Unauthenticated
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	}
	info := &errdetails.ErrorInfo{Reason: strings.ToUpper(r.Code), Domain: "keytrail", Metadata: map[string]string{"fix": r.Fix}}
	if r.cause != "" {
		info.Metadata["cause"] = r.cause
	}
	bare := status.New(code, r.Message)
	detailed, err := bare.WithDetails(info)
	if err != nil {
		return bare
	}
	return detailed
}

// outcomeOf returns the HTTP status of a call that ended with err. returned is unset after a panic.
func outcomeOf(ctx context.Context, err error, returned bool) int {
	switch {
	case ctx.Err() != nil: // the caller did not wait for the result
		return httpStatus[status.FromContextError(ctx.Err()).Code()]
	case !returned:
		return http.StatusInternalServerError
	}
	ended, ok := status.FromError(err)
	if !ok {
		ended = status.FromContextError(err) // as the server of gRPC does
	}
	if known, ok := httpStatus[ended.Code()]; ok {
		return known
	}
	return http.StatusInternalServerError
}

// httpStatus is the mapping of google.rpc.Code in its documentation.
var httpStatus = map[codes.Code]int{
	codes.OK:                 http.StatusOK,
	codes.Canceled:           statusClientGone,
	codes.Unknown:            http.StatusInternalServerError,
	codes.InvalidArgument:    http.StatusBadRequest,
	codes.DeadlineExceeded:   http.StatusGatewayTimeout,
	codes.NotFound:           http.StatusNotFound,
	codes.AlreadyExists:      http.StatusConflict,
	codes.PermissionDenied:   http.StatusForbidden,
	codes.Unauthenticated:    http.StatusUnauthorized,
	codes.ResourceExhausted:  http.StatusTooManyRequests,
	codes.FailedPrecondition: http.StatusBadRequest,
	codes.Aborted:            http.StatusConflict,
	codes.OutOfRange:         http.StatusBadRequest,
	codes.Unimplemented:      http.StatusNotImplemented,
	codes.Internal:           http.StatusInternalServerError,
	codes.Unavailable:        http.StatusServiceUnavailable,
	codes.DataLoss:           http.StatusInternalServerError,
}
