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
	"github.com/keytrail/keytrail/internal/serve"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/postgres"
)

// logService is a running log service on Postgres, with a client.
type logService struct {
	store  *postgres.Store
	client logsv1.LogServiceClient
	addr   string
	stop   func() error
}

// startLogs runs the log service on an address, without the hourly upkeep: that is measured by itself.
func startLogs(ctx context.Context, url, addr string) (*logService, error) {
	store, err := postgres.Open(ctx, url, time.Now)
	if err != nil {
		return nil, err
	}
	server, err := serve.NewGRPC(slog.New(slog.NewTextHandler(os.Stderr, nil)), logsvc.RawFields...)
	if err != nil {
		return nil, err
	}
	config := logsvc.Config{Retention: logsvc.DefaultRetention, SearchBudget: logsvc.DefaultSearchBudget, Now: time.Now}
	logsvc.Register(server, logsvc.NewService(store, config))
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	return &logService{store: store, addr: listener.Addr().String(), client: logsv1.NewLogServiceClient(conn), stop: func() error {
		if err := conn.Close(); err != nil {
			return fmt.Errorf("close the client: %w", err)
		}
		cancel()
		if err := <-ended; err != nil {
			return err
		}
		return store.Close()
	}}, nil
}
