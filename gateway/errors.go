package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/serve"
)

// answerError answers an error of a service, or one that grpc-gateway makes where it cannot read a request.
func answerError(log *slog.Logger) runtime.ErrorHandlerFunc {
	return func(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
		st := status.Convert(err)
		switch refused := refusal(r); {
		case refused != nil:
			writeFault(w, r, refused)
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

// answerRouting answers requests that no route takes.
func (rs routes) answerRouting(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
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

// reasonOf returns the reason of a status's google.rpc.ErrorInfo; empty if it has none.
func reasonOf(st *status.Status) string {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// httpStatuses are of the faults of the gateway itself that HTTP has better words for than the gRPC code has.
var httpStatuses = map[string]int{
	fault.BodyTooLarge.String():  http.StatusRequestEntityTooLarge,
	fault.MethodUnknown.String(): http.StatusMethodNotAllowed,
	fault.RequestLate.String():   http.StatusRequestTimeout,
}

// writeFault answers a fault that the gateway makes itself; any other error is internal.
func writeFault(w http.ResponseWriter, r *http.Request, err error) {
	st := serve.Status(err)
	writeStatus(w, r, cmp.Or(httpStatuses[reasonOf(st)], runtime.HTTPStatusFromCode(st.Code())), st)
}

// writeStatus answers a status in JSON.
func writeStatus(w http.ResponseWriter, r *http.Request, code int, st *status.Status) {
	// A status always marshals: each of its texts has passed through Protocol Buffers.
	text, _ := jsonOptions.Marshal(st.Proto())
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
	_, _ = w.Write(text) // the caller is gone: nobody to tell
}

// seconds rounds up to whole seconds.
func seconds(wait time.Duration) string {
	return strconv.Itoa(int((wait + time.Second - 1) / time.Second))
}
