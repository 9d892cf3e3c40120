package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/authresult"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/telemetry"
)

// forwardAuthPath is the path of the forward-auth endpoint.
const forwardAuthPath = "/v1/forward-auth"

// forwardAuth checks calls for proxies that send a request here before they pass a call on: nginx with auth_request, Caddy with
// forward_auth, and Traefik with ForwardAuth. docs/integrations/forward-auth.md has the format. It is safe for concurrent use.
type forwardAuth struct {
	authorizer *access.Authorizer
	observe    grpc.UnaryServerInterceptor
	checks     authv1.CheckServiceClient
	paths      agentpath.Templates
	failures   *failureLog
}

// withForwardAuth serves forward-auth, and next every other path. Caddy and Traefik pass on the whole response to a denied call,
// so it must have no header that speaks for the gateway, such as HSTS or those of CORS. Nor are there checks of the web origin or
// the host, which proxies pass on from the call: they protect from web pages, and no web page has a token of the role checker.
func withForwardAuth(next http.Handler, f *forwardAuth, log *slog.Logger) http.Handler {
	handler := recoverPanics(f, log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == forwardAuthPath {
			handler.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP implements http.Handler.
func (f *forwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	telemetry.SetRoute(r.Context(), http.MethodGet+" "+forwardAuthPath)
	check, err := f.check(r)
	switch {
	case errors.Is(err, errUnknownPath):
		writeRefusal(w, nil, authresult.UnknownPath)
	case err != nil:
		f.failures.warn(r.Context(), err)
		writeRefusal(w, nil, authresult.Unavailable)
	case !check.GetAllowed():
		writeRefusal(w, check, authresult.Denied(check))
	default:
		writeHeaders(w, check, check.GetReportToken(), "", "")
	}
}

// check checks the call that a request describes. It returns errUnknownPath, or why the request or the check failed.
func (f *forwardAuth) check(r *http.Request) (*authv1.CheckResponse, error) {
	const rpc = authv1.CheckService_Check_FullMethodName
	authorization := bearer(r)
	if err := authenticate(r.Context(), f.authorizer, f.observe, rpc, authorization); err != nil {
		return nil, err
	}
	call, err := readCall(r, f.paths)
	if err != nil {
		return nil, err
	}
	ctx := metadata.AppendToOutgoingContext(r.Context(), "authorization", authorization[0])
	check, err := f.checks.Check(ctx, call.request)
	if err != nil && call.causes(infoOf(status.Convert(err))) {
		return nil, errUnknownPath
	}
	return check, err
}

// bearer returns the values of a request's Authorization header. The password of the scheme Basic is a token, too: Traefik has
// no other credentials than those in a URL.
func bearer(r *http.Request) []string {
	values := r.Header.Values("Authorization")
	if _, token, ok := r.BasicAuth(); ok && len(values) == 1 {
		return []string{"Bearer " + token}
	}
	return values
}

// writeRefusal writes the response to a call that is not served. Its caller may get all of it, so of the identity it has the
// request log only. The check is nil if there was none.
func writeRefusal(w http.ResponseWriter, check *authv1.CheckResponse, refusal authresult.Refusal) {
	identity := &authv1.CheckResponse{RequestLogId: check.GetRequestLogId()}
	writeHeaders(w, identity, check.GetReportToken(), refusal.Code, refusal.HeaderValue())
	w.Header().Set("Content-Type", "application/json")
	if refusal.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", authresult.Challenge)
	}
	w.WriteHeader(refusal.Status)
	_, _ = io.WriteString(w, refusal.Body()) // fails only if the proxy has gone
}

// writeHeaders writes the headers of every response, empty ones too: a proxy that copies them replaces those of the caller.
func writeHeaders(w http.ResponseWriter, identity *authv1.CheckResponse, reportToken, code, explanation string) {
	header := w.Header()
	for _, h := range authresult.Identity(identity) {
		header.Set(h.Name, h.Value)
	}
	header.Set(authresult.ReportTokenHeader, reportToken)
	header.Set(authresult.ErrorCodeHeader, code)
	header.Set(authresult.ErrorHeader, explanation)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
}

// failureLog logs why calls could not be checked, each reason once a minute at most: callers of the proxy can cause any number
// of them. It is safe for concurrent use.
type failureLog struct {
	log *slog.Logger

	mu      sync.Mutex
	reasons map[string]*rate.Sometimes // by reason and field, of which there are few
}

func newFailureLog(log *slog.Logger) *failureLog {
	return &failureLog{log: log, reasons: map[string]*rate.Sometimes{}}
}

// warn logs a fault, or an error of a service.
func (l *failureLog) warn(ctx context.Context, err error) {
	st, ok := status.FromError(err)
	if !ok {
		st = grpcserver.Status(err)
	}
	if st.Code() == codes.Canceled { // the caller has gone
		return
	}
	info := infoOf(st)
	l.sometimes(info.GetReason() + " " + info.GetMetadata()["field"]).Do(func() {
		l.log.WarnContext(ctx, "a forward-auth request failed", "reason", info.GetReason(), "error", st.Message())
	})
}

func (l *failureLog) sometimes(reason string) *rate.Sometimes {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reasons[reason] == nil {
		l.reasons[reason] = &rate.Sometimes{Interval: time.Minute}
	}
	return l.reasons[reason]
}
