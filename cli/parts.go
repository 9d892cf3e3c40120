package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/trail"
	"github.com/keytrail/keytrail/gateway"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/serve"
	"github.com/keytrail/keytrail/logsvc"
)

// followEvery is how often the keyring asks the store for changes, at the least.
const followEvery = time.Second

// pipeBuffer is how many bytes wait in an in-memory connection.
const pipeBuffer = 1 << 20

// pipe is a gRPC server's in-memory door, for the other parts of one process.
type pipe struct{ *bufconn.Listener }

func newPipe() pipe { return pipe{bufconn.Listen(pipeBuffer)} }

// dial makes a client connection through the pipe.
func (p pipe) dial(to *closers) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:in-memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connect in memory: %w", err)
	}
	to.add(conn)
	return conn, nil
}

// logsPart is the log service with its listeners.
type logsPart struct {
	service  *logsvc.Service
	server   *serve.GRPC
	listener net.Listener
	pipe     pipe
	log      *slog.Logger
}

func newLogsPart(store logsvc.Store, addr string, config logsvc.Config, log *slog.Logger, to *closers) (*logsPart, error) {
	server, err := serve.NewGRPC(log, logsvc.RawFields...)
	if err != nil {
		return nil, err
	}
	p := &logsPart{service: logsvc.NewService(store, config), server: server, pipe: newPipe(), log: log}
	logsvc.Register(server, p.service)
	p.listener, err = listen("--logs-addr", addr, to)
	return p, err
}

func (p *logsPart) run(ctx context.Context) error {
	return serve.InOrder(ctx,
		func(ctx context.Context) error {
			p.service.ExpireDaily(ctx, func(err error) { p.log.Error("old request logs are not erased", "error", err) })
			return nil
		},
		func(ctx context.Context) error { return p.server.Run(ctx, p.listener, p.pipe) },
	)
}

// readable is the readiness of the store of request logs. What is wrong with it is not for the open port to tell.
func (p *logsPart) readable(ctx context.Context) error {
	if p.service.Ping(ctx) != nil {
		return errors.New("the store cannot be read")
	}
	return nil
}

// authConfig is what the auth service is made of.
type authConfig struct {
	store      authsvc.Store
	addr       string
	agentTypes []string
	now        func() time.Time
	log        *slog.Logger
}

// authPart is the auth service with its keyring, its trail and its listeners.
type authPart struct {
	keyring  *authsvc.Keyring
	queue    *trail.Queue
	server   *serve.GRPC
	listener net.Listener
	pipe     pipe
	log      *slog.Logger
}

func newAuthPart(ctx context.Context, config authConfig, logs pipe, to *closers) (*authPart, error) {
	server, err := serve.NewGRPC(config.log, authsvc.RawFields...)
	if err != nil {
		return nil, err
	}
	conn, err := logs.dial(to)
	if err != nil {
		return nil, err
	}
	signingKey, err := config.store.SigningKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the signing key of entries: %w", err)
	}
	p := &authPart{
		keyring: authsvc.NewKeyring(config.store, config.now),
		queue:   trail.New(logsv1.NewLogServiceClient(conn), config.log),
		server:  server, pipe: newPipe(), log: config.log,
	}
	if err := p.keyring.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("load the keyring: %w", err)
	}
	authsvc.Register(server,
		authsvc.NewChecker(p.keyring, p.queue, signingKey, config.agentTypes, config.now),
		authsvc.NewKeys(config.store, p.keyring, config.agentTypes, config.now))
	p.listener, err = listen("--auth-addr", config.addr, to)
	return p, err
}

// ship carries the rows of checks to the log service; it ends after run, when no more can come.
func (p *authPart) ship(ctx context.Context) error { return p.queue.Run(ctx) }

func (p *authPart) run(ctx context.Context) error {
	return serve.InOrder(ctx,
		func(ctx context.Context) error {
			p.keyring.Follow(ctx, followEvery, nil, func(err error) { p.log.Error("the keyring is not refreshed", "error", err) })
			return nil
		},
		func(ctx context.Context) error { return p.server.Run(ctx, p.listener, p.pipe) },
	)
}

// maxStaleness is how long a replica that cannot reach its store counts as ready.
const maxStaleness = 30 * time.Second

// fresh is the readiness of the keyring.
func (p *authPart) fresh(context.Context) error {
	if age := p.keyring.Staleness(); age > maxStaleness {
		return fmt.Errorf("the keyring last knew every key %v ago", age.Round(time.Second))
	}
	return nil
}

// room is the readiness of the trail.
func (p *authPart) room(context.Context) error {
	if p.queue.Full() {
		return errors.New("the queue of request logs is full")
	}
	return nil
}

// gatewayConfig is what the gateway is made of.
type gatewayConfig struct {
	addr       string
	auth, logs pipe
	origins    []string
	log        *slog.Logger
}

// httpPart is an HTTP handler with its listener.
type httpPart struct {
	handler  http.Handler
	listener net.Listener
	log      *slog.Logger
}

func newGatewayPart(ctx context.Context, config gatewayConfig, to *closers) (*httpPart, error) {
	auth, err := config.auth.dial(to)
	if err != nil {
		return nil, err
	}
	logs, err := config.logs.dial(to)
	if err != nil {
		return nil, err
	}
	listener, err := listen("--gateway-addr", config.addr, to)
	if err != nil {
		return nil, err
	}
	handler, err := gateway.New(context.WithoutCancel(ctx), gateway.Config{
		Auth: auth, Logs: logs, CORSOrigins: config.origins, Loopback: loopback(listener),
	})
	return &httpPart{handler: handler, listener: listener, log: config.log}, err
}

// loopback tells whether only this machine can reach a listener.
func loopback(listener net.Listener) bool {
	addr, ok := listener.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

func newOpsPart(addr string, checks map[string]serve.Check, log *slog.Logger, to *closers) (*httpPart, error) {
	listener, err := listen("--ops-addr", addr, to)
	return &httpPart{handler: serve.Ops(checks), listener: listener, log: log}, err
}

func (p *httpPart) run(ctx context.Context) error {
	return serve.HTTP(ctx, p.listener, p.handler, p.log)
}

// listen opens a TCP address; the flag is named where that fails.
func listen(flag, addr string, to *closers) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	to.add(l)
	return l, nil
}

// closers are closed in the reverse order of their opening.
type closers []io.Closer

func (c *closers) add(closer io.Closer) { *c = append(*c, closer) }

// closeAfter closes them all and answers err with whatever closing added. A listener that its server has closed
// already is no mistake.
func (c *closers) closeAfter(err error) error {
	for i := len(*c) - 1; i >= 0; i-- {
		if e := (*c)[i].Close(); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	*c = nil
	return err
}

// makeDataDir makes the folder of the databases, for its owner alone.
func makeDataDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	return nil
}
