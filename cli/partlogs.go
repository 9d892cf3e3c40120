package cli

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/serve"
	"github.com/keytrail/keytrail/logsvc"
)

// logsPart is the log service with its listeners.
type logsPart struct {
	service  *logsvc.Service
	server   *serve.GRPC
	listener net.Listener
	pipe     pipe
	keep     serve.Run
	log      *slog.Logger
}

// logsConfig is what the log service is made of.
type logsConfig struct {
	store   logsvc.Store
	addr    string
	tokens  *access.Verifier
	service logsvc.Config
	// days answers the days that rows can be stored of; nil = of every day.
	days func(context.Context) ([]time.Time, error)
	// keep is work that the store wants done while the service runs; nil = none.
	keep serve.Run
}

func (s *Server) openLogs(config logsConfig) error {
	server, err := serve.NewGRPC(s.log, access.NewGate(config.tokens), s.telemetry.Watchers())
	if err != nil {
		return err
	}
	store, err := measureStore(config.store, s.telemetry)
	if err != nil {
		return err
	}
	p := &logsPart{
		service: logsvc.NewService(store, config.service), server: server, pipe: newPipe(), keep: config.keep, log: s.log,
	}
	logsvc.Register(server, p.service)
	if p.listener, err = s.listenGRPC("--logs-addr", config.addr); err != nil {
		return err
	}
	s.logs, s.checks["request_logs"] = p, p.readable
	metrics := refusalMetrics(p.service)
	if config.days != nil {
		layout := days{stored: config.days, now: config.service.Now}
		s.checks["partitions"], metrics = layout.present, append(metrics, layout)
	}
	return s.telemetry.Register(metrics...)
}

func (p *logsPart) run(ctx context.Context) error {
	parts := []serve.Run{
		func(ctx context.Context) error {
			p.service.ExpireDaily(ctx, func(err error) { p.log.Error("old request logs are not erased", "error", err) })
			return nil
		},
		func(ctx context.Context) error { return p.server.Run(ctx, p.listener, p.pipe) },
	}
	if p.keep != nil {
		parts = append([]serve.Run{p.keep}, parts...)
	}
	return serve.InOrder(ctx, parts...)
}

// readable is the readiness of the store of request logs. What is wrong with it is not for the open port to tell.
func (p *logsPart) readable(ctx context.Context) error {
	if p.service.Ping(ctx) != nil {
		return errors.New("the store cannot be read")
	}
	return nil
}
