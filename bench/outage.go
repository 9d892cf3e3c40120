package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/authsvc/grpcapi"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/lifecycle"
	"github.com/keytrail/keytrail/trail"
)

const (
	// checkEvery is the interval of each checker; all together make 1,000 checks a second.
	checkEvery = 8 * time.Millisecond
	checkers   = 8
	// settled is how long checks are measured with a running log service.
	settled = 20 * time.Second
)

// outage measures checks over gRPC with and without a running log service, and how fast the backlog is stored after its
// restart.
func (f *trailFigures) outage(ctx context.Context, b *trailBench, dir string, row func(string, string, ...any)) (err error) {
	makeDatabase, stop, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	url, err := makeDatabase("trail")
	if err != nil {
		return err
	}
	signer, err := access.NewSigner()
	if err != nil {
		return err
	}
	logs, err := startLogsAt(ctx, url, "127.0.0.1:0", signer)
	if err != nil {
		return err
	}
	a, err := startAuth(ctx, dir, logs.addr, signer)
	if err != nil {
		return errors.Join(err, logs.stop())
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	before, err := a.load(ctx, settled)
	if err := errors.Join(err, logs.stop()); err != nil {
		return err
	}
	during, err := a.load(ctx, b.Outage)
	if err != nil {
		return err
	}
	f.CheckP99Ms, f.CheckP99MsOutage = round(ms(quantile(before, 0.99))), round(ms(quantile(during, 0.99)))
	f.OutageRatio, f.BacklogRows = round(f.CheckP99MsOutage/f.CheckP99Ms), len(during)
	row("check, p99", "%.2f ms", f.CheckP99Ms)
	row("check without the log service, p99", "%.2f ms", f.CheckP99MsOutage)
	if logs, err = startLogsAt(ctx, url, logs.addr, signer); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, logs.stop()) }()
	began := time.Now()
	if err := logs.await(ctx, len(before)+len(during)); err != nil {
		return err
	}
	f.BacklogRowsPerS = round(float64(len(during)) / time.Since(began).Seconds())
	row("backlog", "%d rows at %.0f rows/s, from the start of the log service", len(during), f.BacklogRowsPerS)
	return nil
}

// await waits until the log service has this many rows.
func (l *logService) await(ctx context.Context, rows int) error {
	for {
		found, token := 0, ""
		for more := true; more; more = token != "" {
			page, err := l.client.ListRequestLogs(ctx, &request{WorkspaceId: "acme", PageSize: 1000, PageToken: token})
			if err != nil {
				return err
			}
			found, token = found+len(page.GetRequestLogs()), page.GetNextPageToken()
		}
		if found == rows {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d rows: %w", found, rows, err)
		}
	}
}

// authService is a running auth service with one key and a client.
type authService struct {
	client authv1.CheckServiceClient
	secret string
	stop   func() error
}

func startAuth(ctx context.Context, dir, logsAddr string, signer *access.Signer) (_ *authService, err error) {
	toLogs, err := connect(logsAddr, signer)
	if err != nil {
		return nil, err
	}
	t, err := openTrail(dir, 100*time.Millisecond, logsv1.NewLogServiceClient(toLogs))
	if err != nil {
		return nil, err
	}
	checker, secret, closeStore, err := newChecker(ctx, dir, t)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	authorizer, err := newAuthorizer(signer, log)
	if err != nil {
		return nil, err
	}
	server, err := grpcserver.New(grpcserver.Config{Log: log, Authorizer: authorizer, MaxMessageBytes: grpcserver.AuthMessageBytes})
	if err != nil {
		return nil, err
	}
	grpcapi.Register(server, checker, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	conn, err := connect(listener.Addr().String(), signer)
	if err != nil {
		return nil, err
	}
	stop := runAuth(ctx, server, listener, t)
	return &authService{client: authv1.NewCheckServiceClient(conn), secret: secret, stop: func() error {
		return errors.Join(conn.Close(), stop(), t.Close(), closeStore(), toLogs.Close())
	}}, nil
}

// runAuth runs a server and its trail until stop is called.
func runAuth(ctx context.Context, server *grpcserver.Server, listener net.Listener, t *trail.Trail) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		ended <- lifecycle.Run(ctx, t.Run, func(ctx context.Context) error { return server.Run(ctx, listener) })
	}()
	return func() error {
		cancel()
		return <-ended
	}
}

// load checks calls at a steady rate and returns the latencies.
func (a *authService) load(ctx context.Context, d time.Duration) ([]time.Duration, error) {
	group, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	var took []time.Duration
	end := time.Now().Add(d)
	for range checkers {
		group.Go(func() error {
			tick := time.NewTicker(checkEvery)
			defer tick.Stop()
			for now := time.Now(); now.Before(end); now = <-tick.C {
				began := time.Now()
				if _, err := a.client.Check(ctx, &authv1.CheckRequest{ApiKey: a.secret, AgentType: call.AgentType, Method: call.Method, Endpoint: call.Endpoint}); err != nil {
					return fmt.Errorf("a check failed: %w", err)
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
			return nil
		})
	}
	err := group.Wait()
	return took, err
}
