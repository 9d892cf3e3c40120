package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/grpcapi"
	"github.com/keytrail/keytrail/logsvc/postgres"
)

// logService is a running log service on Postgres, with a client.
type logService struct {
	store    *postgres.Store
	searcher *logsvc.Searcher
	client   logsv1.LogServiceClient
	url      string // of the database
	addr     string
	// clock is the service's clock in startLogs.
	clock *clock
	stop  func() error
}

// startLogs runs the log service on a loopback port with a clock, without maintenance, expiry and sealing, which are measured
// separately.
func startLogs(ctx context.Context, url string, c *clock) (*logService, error) {
	signer, err := access.NewSigner()
	if err != nil {
		return nil, err
	}
	l, err := serveLogs(ctx, url, "127.0.0.1:0", signer, c.now)
	if err != nil {
		return nil, err
	}
	l.clock = c
	return l, nil
}

// startLogsAt runs the log service on an address, with a signer of the accepted tokens.
func startLogsAt(ctx context.Context, url, addr string, signer *access.Signer) (*logService, error) {
	return serveLogs(ctx, url, addr, signer, time.Now)
}

func serveLogs(ctx context.Context, url, addr string, signer *access.Signer, now func() time.Time) (*logService, error) {
	store, err := postgres.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	authorizer, err := newAuthorizer(signer, log)
	if err != nil {
		return nil, err
	}
	server, err := grpcserver.New(grpcserver.Config{Log: log, Authorizer: authorizer, MaxMessageBytes: grpcserver.LogsMessageBytes})
	if err != nil {
		return nil, err
	}
	onDamage := func(workspaceID string, b logsvc.Block, err error) {
		log.Error("damaged block", "workspace_id", workspaceID, "first_id", b.First, "error", err)
	}
	grpcapi.Register(server, logsvc.NewService(store, logsvc.Config{
		Retention: logsvc.DefaultRetention, SearchBudget: logsvc.DefaultSearchBudget, Now: now, OnDamage: onDamage,
	}))
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn, err := connect(listener.Addr().String(), signer)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	l := &logService{
		store: store, searcher: logsvc.NewSearcher(store, onDamage),
		client: logsv1.NewLogServiceClient(conn), url: url, addr: listener.Addr().String(),
	}
	l.stop = func() error {
		if err := conn.Close(); err != nil {
			return fmt.Errorf("close the client: %w", err)
		}
		cancel()
		if err := <-ended; err != nil {
			return err
		}
		return store.Close()
	}
	return l, nil
}

// newAuthorizer returns the authorizer of a server that accepts the tokens of one signer.
func newAuthorizer(signer *access.Signer, log *slog.Logger) (*access.Authorizer, error) {
	verifier, err := access.NewVerifier(access.Config{Keys: access.TokenKeys{"": {signer.Public()}}, Now: time.Now, Log: log})
	if err != nil {
		return nil, err
	}
	return access.NewAuthorizer(verifier), nil
}

// connect returns a connection with a token source.
func connect(addr string, signer *access.Signer) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(access.NewTokenSource(signer, time.Now)))
}
