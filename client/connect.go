package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/keytrail/keytrail/internal/hidden"
)

// serviceConfig spreads calls over all replicas, and retries one that failed with UNAVAILABLE on another replica (gRFC A6). A
// Check has a call_id and a Report is idempotent, so both can be repeated. Throttling stops retries while all replicas fail, so
// that calls then fail at once. The retries take 0.4 s, less than an attempt of a check may take, so that its error says why.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"retryThrottling": {"maxTokens": 100, "tokenRatio": 0.2},
	"methodConfig": [{
		"name": [{"service": "keytrail.auth.v1.CheckService"}],
		"retryPolicy": {
			"maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

// pings close the connection to a replica that does not respond. gRPC accepts no shorter time.
var pings = keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}

// reconnects has a shorter maximum than gRPC's two minutes, because a replica that restarts is back within seconds.
var reconnects = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// dial returns a connection to all replicas, which connects with the first call.
func (c *config) dial(addr string) (*grpc.ClientConn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("the address %q is not host:port: %w", addr, err)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(c.transportTo(host)),
		grpc.WithDefaultServiceConfig(serviceConfig),
		// Do not look up a service config in DNS: in a network without a route to the Internet, connections wait for the look-up
		// to time out.
		grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(pings),
		grpc.WithConnectParams(reconnects),
	}
	if c.perRPC != nil {
		options = append(options, grpc.WithPerRPCCredentials(c.perRPC))
	}
	conn, err := grpc.NewClient("dns:///"+addr, append(options, c.dialOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return conn, nil
}

// transportTo allows plaintext to this machine only, unless the program says otherwise.
func (c *config) transportTo(host string) credentials.TransportCredentials {
	switch {
	case c.transport != nil:
		return c.transport
	case c.insecure || isLoopback(host):
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// token sends a fixed token with every call.
type token struct{ text hidden.Text }

func newToken(text string) token { return token{hidden.Hide("Bearer " + text)} }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": t.text.Reveal()}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials. transportTo decides whether a connection may be in
// plaintext.
func (token) RequireTransportSecurity() bool { return false }

// tokenFile sends the token in a file.
type tokenFile struct {
	path string

	mu    sync.Mutex
	token token
	// until is when the file is read again.
	until time.Time
}

// tokenFileAge is how long a token is used before its file is read again. Reading it for every call would take longer than the
// rest of the middleware.
const tokenFileAge = time.Second

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (f *tokenFile) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	current, err := f.read(time.Now())
	if err != nil {
		return nil, err
	}
	return current.GetRequestMetadata(ctx, uri...)
}

func (f *tokenFile) read(now time.Time) (token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Before(f.until) {
		return f.token, nil
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return token{}, fmt.Errorf("read the token: %w", err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return token{}, fmt.Errorf("read the token: %s is empty", f.path)
	}
	f.token, f.until = newToken(text), now.Add(tokenFileAge)
	return f.token, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (*tokenFile) RequireTransportSecurity() bool { return false }
