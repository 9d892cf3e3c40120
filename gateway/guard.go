package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/keytrail/keytrail/internal/throttle"
)

// ValidOrigin says why a web origin cannot be one of Config.CORSOrigins: browsers send scheme://host[:port] in lower
// case, and it is compared to the letter.
func ValidOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Host == "" || origin != u.Scheme+"://"+u.Host || origin != strings.ToLower(origin):
		return fmt.Errorf("%q must be scheme://host or scheme://host:port in lower case, without a path", origin)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q must begin with http:// or https://", origin)
	case strings.Contains(origin, "*"):
		return fmt.Errorf("%q must name one origin, without *", origin)
	}
	return nil
}

// guard keeps web pages out that are not of the configured origins. What they may read is the matter of CORS; this
// is about what they may do unread, and about pages that pass as the gateway's own because their host name was made
// to point at this machine (DNS rebinding).
func guard(next http.Handler, config Config) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range config.CORSOrigins {
		if err := errors.Join(ValidOrigin(origin), protection.AddTrustedOrigin(origin)); err != nil {
			return nil, fmt.Errorf("CORS origins: %w", err)
		}
	}
	protection.SetDenyHandler(forbidden("this web origin may not call; add it to --cors-origins"))
	next = protection.Handler(next)
	if !config.Loopback {
		return next, nil
	}
	foreign := forbidden("the gateway listens on this machine alone, and takes requests for localhost or a loopback address only")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackHost(r.Host) {
			foreign.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// loopbackHost tells whether a Host header, with or without a port, names this machine to itself.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// forbidden answers 403 as the services would.
func forbidden(reason string) http.Handler {
	return answering(http.StatusForbidden, status.New(codes.PermissionDenied, reason))
}

// answerTooMany is for callers that failed too often to say who they are.
var answerTooMany = answering(http.StatusTooManyRequests, status.New(codes.ResourceExhausted, throttle.Reason))

// answering answers a status as the services would.
func answering(code int, st *status.Status) http.Handler {
	// A status always marshals.
	body, _ := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(st.Proto())
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write(body) // the caller is gone: nobody to tell
	})
}

// routingError answers requests that no route takes. The library would answer 501 where only the verb is wrong.
func routingError(ctx context.Context, mux *runtime.ServeMux, marshaler runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
	if code != http.StatusMethodNotAllowed {
		runtime.DefaultRoutingErrorHandler(ctx, mux, marshaler, w, r, code)
		return
	}
	runtime.HTTPError(ctx, mux, marshaler, w, r, &runtime.HTTPStatusError{
		HTTPStatus: code, Err: status.Error(codes.Unimplemented, r.Method+" is not a method of this path"),
	})
}
