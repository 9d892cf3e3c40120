package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/grpc/test/bufconn"
)

// inMemoryBuffer is the size of the buffer of an in-memory connection in bytes.
const inMemoryBuffer = 1 << 20

// dialFunc connects to another part. The server closes the connection.
type dialFunc func(s *Server, options ...grpc.DialOption) (*grpc.ClientConn, error)

// inMemory connects to a part of the same process.
func inMemory(listener *bufconn.Listener) dialFunc {
	return func(s *Server, options ...grpc.DialOption) (*grpc.ClientConn, error) {
		return s.connect("passthrough:in-memory", append(options,
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
			grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	}
}

// remote connects to all replicas of a part: to every address of the DNS name in addr, which was given by flag.
func (f DialFlags) remote(flag, addr string, plaintext InsecureFlag, log *slog.Logger) dialFunc {
	return func(s *Server, options ...grpc.DialOption) (*grpc.ClientConn, error) {
		transport, err := f.TransportCredentials(flag, addr, plaintext, log)
		if err != nil {
			return nil, err
		}
		return s.connect("dns:///"+addr, append(options,
			grpc.WithTransportCredentials(transport),
			grpc.WithDefaultServiceConfig(GRPCServiceConfig),
			grpc.WithChainUnaryInterceptor(newLateRepeats().intercept),
			grpc.WithKeepaliveParams(pings),
			// Do not look up a service config in DNS: in a network without a route to the Internet, connections wait
			// for the look-up to time out.
			grpc.WithDisableServiceConfig(),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnectBackoff, MinConnectTimeout: 5 * time.Second}))...)
	}
}

func (s *Server) connect(target string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(target, append(options, s.telemetry.DialOptions()...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	s.closeLater(conn)
	return conn, nil
}

// pings close the connection to a replica that does not respond: one that is paused, or whose machine is gone. gRPC accepts no
// shorter time, and the server no shorter than half of it.
var pings = keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}

// GRPCServiceConfig spreads calls over all replicas and retries a call that failed with UNAVAILABLE on another one (gRFC A6),
// so that no call fails while a replica restarts. Calls that create or change keys are not retried, because they may have
// been carried out; the trail retries RecordRequestLogs itself, and has its own deadline. A stream is retried until its first
// message, and has no deadline: pings end it with its replica. Throttling stops retries while all replicas fail. The timeouts are
// the deadlines of calls whose caller has none; see also attemptTimes. Changes of keys have 5 s:
// an auth service waits for up to 2 s until a change is in force, and says so in time.
const GRPCServiceConfig = `{
	"loadBalancingConfig": [{"` + replicasPolicy + `": {}}],
	"retryThrottling": {"maxTokens": 100, "tokenRatio": 0.2},
	"methodConfig": [{
		"name": [{"service": "keytrail.logs.v1.LogService", "method": "RecordRequestLogs"}]
	}, {
		"name": [{"service": "keytrail.auth.v1.CheckService"}],
		"timeout": "5s", ` + retryPolicy + `
	}, {
		"name": [
			{"service": "keytrail.auth.v1.KeyService", "method": "GetKey"},
			{"service": "keytrail.auth.v1.KeyService", "method": "ListKeys"},
			{"service": "keytrail.auth.v1.KeyService", "method": "FindKeys"},
			{"service": "keytrail.auth.v1.KeyService", "method": "GetCatalog"},
			{"service": "keytrail.auth.v1.SessionService"}
		],
		"timeout": "10s", ` + retryPolicy + `
	}, {
		"name": [{"service": "keytrail.auth.v1.KeyService"}],
		"timeout": "5s"
	}, {
		"name": [{"service": "keytrail.logs.v1.LogService", "method": "PurgeRequestLogs"}],
		"timeout": "90s", ` + retryPolicy + `
	}, {
		"name": [
			{"service": "keytrail.logs.v1.LogService", "method": "TailRequestLogs"},
			{"service": "keytrail.logs.v1.LogService", "method": "ExportRequestLogs"}
		], ` + retryPolicy + `
	}, {
		"name": [{"service": "keytrail.logs.v1.LogService"}],
		"timeout": "30s", ` + retryPolicy + `
	}]
}`

const retryPolicy = `"retryPolicy": {
	"maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 3,
	"retryableStatusCodes": ["UNAVAILABLE"]
}`

// reconnectBackoff has a shorter maximum than gRPC's two minutes, because the other part is restarting nearby.
var reconnectBackoff = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

// By default gRPC resolves a name every 30 s at most. A replaced replica has a new address: if the name was resolved just
// before that, all calls would fail for up to 30 s. The setting is global.
func init() { dns.SetMinResolutionInterval(time.Second) }
