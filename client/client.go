// Package client checks and records the calls of a Go backend with Keytrail. One line puts the check in front of a handler:
//
//	kt, err := client.New("127.0.0.1:7001", client.WithToken(os.Getenv("KEYTRAIL_TOKEN")))
//	…
//	http.ListenAndServe(addr, kt.HTTPMiddleware(mux))
//
// The middleware sends the caller's API key to the auth service (CheckService.Check) before the call is served. A denied call
// gets the status and a JSON body that says why; an allowed one reaches the handler, with the caller's Identity in its context.
// When the call has ended, its status and latency, as the caller got them, are reported in the background.
// UnaryServerInterceptor and StreamServerInterceptor do the same for gRPC.
//
// Put the middleware outside of every other one that writes responses: what is outside of it is neither checked nor measured.
// Requests that need no API key, such as health checks and the preflights of CORS, belong outside, too.
//
// # Which agent is called
//
// By default it is read from the path, by the template /v1/{agent_type}s/{agent_id}/…; see WithAgentPaths, WithHTTPAgent and
// WithGRPCAgent. A call that names no agent type, or one that the catalog does not have, is refused with 403 and the code
// unknown_path. So is a call whose path has another workspace than WithWorkspace, or one that the token does not hold for. Such
// calls are not recorded.
//
// # When the auth service cannot be reached
//
// A check is retried on other replicas, for as long as WithCheckTimeout says. Then the call is refused with 503 and the code
// unavailable, or served unchecked with WithFailOpen. Each call has a call_id, so that it has one row however often its check is
// sent. Stats counts both.
//
// # What a crash loses
//
// The row of a call exists before the call is served. Its status and latency wait in memory until they are reported, typically
// for 200 ms. Close reports them. If the process is killed before that, or while the call is served, the row stays in progress.
package client

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// Client checks calls and reports their outcomes. It is safe for concurrent use. Programs need one, and close it at their end.
type Client struct {
	config
	conn     *grpc.ClientConn
	checks   authv1.CheckServiceClient
	paths    agentpath.Templates
	ids      *uuid7.Generator
	reporter *reporter
	counters counters
	warnings *warnings
	// ahead is how far the clock of the auth service is ahead of ours; 0 while they are less than a minute apart.
	ahead atomic.Int64
}

// New returns a client of the auth service at addr, which is host:port. If the host is a DNS name with several addresses, each
// is a replica, and calls are spread over them.
//
// New does not connect: the first call does. So a program can start before the auth service.
//
// A loopback address is called in plaintext, and any other with TLS and the certificate authorities of the system; see
// WithTransportCredentials and WithInsecure.
func New(addr string, options ...Option) (*Client, error) {
	c := &Client{config: defaults(), ids: uuid7.NewGenerator()}
	for _, option := range options {
		option(&c.config)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("keytrail: %w", err)
	}
	var err error
	if c.paths, err = agentpath.Parse(c.templates); err != nil {
		return nil, fmt.Errorf("keytrail: path template %w", err)
	}
	if c.conn, err = c.dial(addr); err != nil {
		return nil, fmt.Errorf("keytrail: %w", err)
	}
	c.warnings = &warnings{log: c.log, last: map[string]time.Time{}}
	c.checks = authv1.NewCheckServiceClient(c.conn)
	c.reporter = startReporter(c.checks, &c.counters, c.warnings)
	return c, nil
}

// Close reports all calls that have ended, and closes the connection. It waits until everything is reported or ctx ends, for
// ever without a deadline; its error says how many calls were not reported. Call it when the server has stopped: after
// http.Server.Shutdown or grpc.Server.GracefulStop, with a context that has time left when Shutdown has used up its own. Calls
// that end later, such as those on hijacked connections, are not reported. Only the first Close does anything.
func (c *Client) Close(ctx context.Context) error {
	left := c.reporter.close(ctx)
	_ = c.conn.Close() // it fails only if it was closed before
	if left > 0 {
		return fmt.Errorf("keytrail: %d calls were not reported: %w", left, context.Cause(ctx))
	}
	return nil
}
