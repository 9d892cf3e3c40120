package client

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/authresult"
)

// HTTPMiddleware returns a handler that serves allowed calls by next. It has the form of a middleware of net/http and of routers
// such as chi: router.Use(kt.HTTPMiddleware). Put it around gin and echo as a whole: kt.HTTPMiddleware(engine). Inside of
// echo.WrapMiddleware it would miss the status of an error that a handler returns, because echo writes it later.
//
// The latency of a call is measured until next returns. The status is that of the response, and
//
//   - 499 if the caller went away before any of the response was sent. Responses are buffered until next flushes them, returns or
//     has written 4 KiB.
//   - 500 if next panicked before any of the response was sent. net/http then closes the connection. The panic goes on.
//   - 101 if next hijacked the connection and wrote no header before.
//   - 200 if next wrote nothing.
//
// A context is canceled when the caller goes away, but also with a http.Server.BaseContext that is. Such a base context should
// have a cause, as that of signal.NotifyContext has, so that calls which are served all the same are not reported with 499.
func (c *Client) HTTPMiddleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived := time.Now()
		v := c.decide(r.Context(), c.agentOfRequest(r), c.requestOf(r), arrived)
		if v.token == "" { // there is nothing to measure
			c.serve(next, w, r, v)
			return
		}
		tracked := &response{ResponseWriter: w}
		returned := false
		defer func() { c.reporter.add(v.token, tracked.outcome(r.Context(), returned), time.Since(arrived)) }()
		c.serve(next, tracked, r, v)
		returned = true
	})
}

func (c *Client) requestOf(r *http.Request) *authv1.CheckRequest {
	return &authv1.CheckRequest{
		ApiKey: text(c.secretOf(r.Header.Values), maxSecret), Method: text(r.Method, maxMethod),
		Endpoint: text(endpointOf(r), maxEndpoint),
	}
}

// serve serves a call, or refuses it.
func (c *Client) serve(next http.Handler, w http.ResponseWriter, r *http.Request, v verdict) {
	switch {
	case v.refusal != nil:
		c.refuse(w, v.refusal.Refusal)
	case v.identity != nil:
		next.ServeHTTP(w, r.WithContext(v.context(r.Context())))
	default:
		next.ServeHTTP(w, r)
	}
}

func (c *Client) refuse(w http.ResponseWriter, why authresult.Refusal) {
	w.Header().Set("Content-Type", "application/json")
	if why.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", c.challenge())
	}
	w.WriteHeader(why.Status)
	_, _ = io.WriteString(w, why.Body()) // it fails if the caller has gone away
}

// challenge names the header that should have the API key.
func (c *Client) challenge() string {
	if c.headers[0] == bearerHeader {
		return `Bearer realm="api"`
	}
	return strings.Replace(authresult.Challenge, authresult.APIKeyHeader, c.headers[0], 1)
}

// statusClientGone is nginx's status of a call whose caller went away before the response.
const statusClientGone = 499

// isGone reports whether a call ended because its caller went away: its context was then canceled without another cause.
func isGone(ctx context.Context) bool { return context.Cause(ctx) == context.Canceled }
