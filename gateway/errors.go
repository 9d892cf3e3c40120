package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/httpserver"
)

// errorHandler writes an error of a service, or one of grpc-gateway, which it makes if it cannot read a request.
func errorHandler(log *slog.Logger) runtime.ErrorHandlerFunc {
	return func(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
		st := status.Convert(err)
		switch bodyErr := bodyError(r); {
		case bodyErr != nil:
			writeFault(w, r, bodyErr)
		case reasonOf(st) == fault.BodyTooLarge.String():
			writeStatus(w, r, http.StatusRequestEntityTooLarge, st)
		case reasonOf(st) != "":
			writeStatus(w, r, runtime.HTTPStatusFromCode(st.Code()), st)
		case st.Code() == codes.InvalidArgument:
			writeFault(w, r, fault.New(fault.RequestMalformed, "%s", st.Message()))
		default:
			log.ErrorContext(ctx, "internal error", "method", r.Method, "path", r.URL.Path, "error", err)
			writeFault(w, r, err)
		}
	}
}

// routingErrorHandler responds to requests that match no route.
func (rs routes) routingErrorHandler(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	switch code {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", rs.allowed(r.URL.Path))
		writeFault(w, r, fault.New(fault.MethodUnknown, "%s is not a method of this path", r.Method))
	case http.StatusNotFound:
		writeFault(w, r, fault.New(fault.RouteNotFound, "there is no such path"))
	default:
		writeFault(w, r, fault.New(fault.RequestMalformed, "the path is malformed"))
	}
}

// recoverPanics logs a panic and responds with an internal error, or breaks the connection off if a part of the response
// was written, so that it does not look complete.
func recoverPanics(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &httpserver.StatusRecorder{ResponseWriter: w}
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler {
				log.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			}
			if p == http.ErrAbortHandler || recorder.Status() != 0 {
				panic(http.ErrAbortHandler)
			}
			writeFault(w, r, fault.New(fault.InternalError, "internal error"))
		}()
		next.ServeHTTP(recorder, r)
	})
}

// reasonOf returns the reason of a status's google.rpc.ErrorInfo; empty if it has none.
func reasonOf(st *status.Status) string { return infoOf(st).GetReason() }

// infoOf returns a status's google.rpc.ErrorInfo, or nil.
func infoOf(st *status.Status) *errdetails.ErrorInfo {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// httpStatuses are the statuses of faults for which HTTP has a more precise one than that of the gRPC code.
var httpStatuses = map[string]int{
	fault.BodyTooLarge.String():  http.StatusRequestEntityTooLarge,
	fault.MethodUnknown.String(): http.StatusMethodNotAllowed,
	fault.RequestLate.String():   http.StatusRequestTimeout,
}

// writeFault writes a fault of the gateway itself. Any other error is internal.
func writeFault(w http.ResponseWriter, r *http.Request, err error) {
	st := grpcserver.Status(err)
	writeStatus(w, r, cmp.Or(httpStatuses[reasonOf(st)], runtime.HTTPStatusFromCode(st.Code())), st)
}

// writeStatus writes a status as JSON.
func writeStatus(w http.ResponseWriter, r *http.Request, code int, st *status.Status) {
	text, _ := jsonOptions.Marshal(st.Proto()) // cannot fail: its strings are valid UTF-8
	header := w.Header()
	header.Set("Content-Type", "application/json")
	for _, detail := range st.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			header.Set("Retry-After", seconds(retry.GetRetryDelay().AsDuration()))
		}
	}
	if code == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", challenge(r.Header.Get("Authorization"), st.Message()))
	}
	w.WriteHeader(code)
	_, _ = w.Write(text) // fails only if the client has gone
}

// seconds rounds up to whole seconds.
func seconds(wait time.Duration) string {
	return strconv.Itoa(int((wait + time.Second - 1) / time.Second))
}

// challenge returns WWW-Authenticate as in RFC 6750: without an error if the client sent no bearer token.
func challenge(authorization, reason string) string {
	const realm = `Bearer realm="keytrail"`
	if scheme, _, _ := strings.Cut(authorization, " "); !strings.EqualFold(scheme, "Bearer") {
		return realm
	}
	return realm + `, error="invalid_token", error_description="` + strings.Map(descriptionRune, reason) + `"`
}

// descriptionRune replaces the characters that an error_description may not have.
func descriptionRune(r rune) rune {
	switch {
	case r == '"' || r == '\\' || r == '`':
		return '\''
	case r < ' ' || r > '~':
		return '?'
	}
	return r
}
