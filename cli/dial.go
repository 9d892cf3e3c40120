package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/grpc/test/bufconn"
)

// pipeBuffer is how many bytes wait in an in-memory connection.
const pipeBuffer = 1 << 20

// pipe is a gRPC server's in-memory door, for the other parts of one process.
type pipe struct{ *bufconn.Listener }

func newPipe() pipe { return pipe{bufconn.Listen(pipeBuffer)} }

// dial makes a client connection through the pipe.
func (p pipe) dial(to *closers, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:in-memory", append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, fmt.Errorf("connect in memory: %w", err)
	}
	to.add(conn)
	return conn, nil
}

// connect makes a connection to another part.
type connect func(to *closers, options ...grpc.DialOption) (*grpc.ClientConn, error)

// remote connects to a part in other processes: to all of the addresses behind a DNS name, in turn, and again to the
// next one where one is away.
func (f dialFlags) remote(flag, addr string, plain insecureFlag, log *slog.Logger) connect {
	return func(to *closers, options ...grpc.DialOption) (*grpc.ClientConn, error) {
		transport, err := f.transport(flag, addr, plain, log)
		if err != nil {
			return nil, err
		}
		conn, err := grpc.NewClient("dns:///"+addr, append(options,
			grpc.WithTransportCredentials(transport),
			grpc.WithDefaultServiceConfig(serviceConfig),
			// Else DNS is asked for another one each time, and where nobody answers for names that are not there, as in a
			// network that leads nowhere, connections wait for that.
			grpc.WithDisableServiceConfig(),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: 5 * time.Second}))...)
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", addr, err)
		}
		to.add(conn)
		return conn, nil
	}
}

// serviceConfig spreads calls over all replicas, and makes those that one of them could not take once more on another
// (gRFC A6): while a replica restarts no call fails for it. What makes or changes keys is not repeated, because it may
// have been done, and the shipper of request logs repeats itself. Where all replicas fail, calls are not multiplied.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"retryThrottling": {"maxTokens": 100, "tokenRatio": 0.2},
	"methodConfig": [{
		"name": [{"service": "keytrail.logs.v1.LogService", "method": "RecordRequestLogs"}]
	}, {
		"name": [
			{"service": "keytrail.auth.v1.CheckService"},
			{"service": "keytrail.auth.v1.KeyService", "method": "GetKey"},
			{"service": "keytrail.auth.v1.KeyService", "method": "ListKeys"},
			{"service": "keytrail.auth.v1.KeyService", "method": "GetCatalog"},
			{"service": "keytrail.logs.v1.LogService"}
		],
		"retryPolicy": {
			"maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 3,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

// reconnect is quicker than gRPC's own, which waits up to two minutes: the other part is a neighbour that restarts.
var reconnect = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

// gRPC asks DNS anew every 30 s at most, for the whole process. A replica that is replaced has another address, and where
// DNS was asked just before it went, all calls would fail for so long.
func init() { dns.SetMinResolutionInterval(time.Second) }
