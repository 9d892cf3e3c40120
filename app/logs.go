package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/telemetry"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/grpcapi"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
)

// LogsConfig configures `keytrail logsvc`.
type LogsConfig struct {
	databaseFlag `embed:""`
	tokenFlags   `embed:""`
	listenFlags  `embed:""`
	LogsAddr     string        `default:"127.0.0.1:7002" help:"Address to serve gRPC on."`
	OpsAddr      string        `default:"127.0.0.1:9102" help:"Address to serve /healthz, /readyz and /metrics on."`
	Retention    time.Duration `default:"${retention}" help:"How long to keep request logs; at least 1h. Must be the same for all replicas."`
	Distribute   bool          `help:"Distribute the tables by workspace over the workers of Citus, if they are not yet. --database-url must be that of the coordinator."`
	SearchBudget time.Duration `default:"${search_budget}" help:"How long one page of a list may search before it returns what it has found."`
}

// Validate implements kong's validation.
func (c LogsConfig) Validate() error {
	if c.SearchBudget < 10*time.Millisecond {
		return fmt.Errorf("--search-budget: must be at least 10ms, got %v", c.SearchBudget)
	}
	return errors.Join(ValidateRetention(c.Retention), c.tokenFlags.validateRequired())
}

// NewLogsServer returns a server that runs the log service on Postgres. The caller must call Run or Close.
func NewLogsServer(ctx context.Context, config LogsConfig, log *slog.Logger, now func() time.Time) (*Server, error) {
	return newServer("logsvc", log, config.OpsAddr, config.listenFlags, func(s *Server) error {
		if err := CheckDatabase("--database-url", config.DatabaseURL, config.InsecureFlag); err != nil {
			return err
		}
		tokens, err := s.addVerifier(config.tokenFlags, now)
		if err != nil {
			return err
		}
		s.starting("migrating the schema of the request logs")
		store, err := logspostgres.Open(ctx, config.DatabaseURL)
		if err != nil {
			return fmt.Errorf("open the request logs: %w", err)
		}
		s.closeLater(store)
		if config.Distribute {
			s.starting("distributing the tables of the request logs")
			if err := store.Distribute(ctx); err != nil {
				return fmt.Errorf("--distribute: %w", err)
			}
		}
		s.parts = append(s.parts, background(func(ctx context.Context) { store.RunMaintenance(ctx, log) }))
		service, err := s.openLogs(ctx, logsConfig{
			store: store, ping: store.Ping, addr: config.LogsAddr, tokens: tokens,
			service: logsvc.Config{Retention: config.Retention, SearchBudget: config.SearchBudget, Now: now, ReadTime: store.Time},
		})
		if err != nil {
			return err
		}
		layout := partitions{list: store.Days, now: service.Now}
		s.checks["partitions"] = layout.check
		return s.telemetry.Register(append(slices.Concat(telemetry.Pool("logs_write", store.Writers), telemetry.Pool("logs_read", store.Readers)), layout)...)
	})
}

// logsConfig is what the log service needs on any store.
type logsConfig struct {
	store    logsvc.Store
	ping     func(context.Context) error
	addr     string
	inMemory []net.Listener // for the other parts of the same process
	tokens   *access.Verifier
	service  logsvc.Config
}

// openLogs adds the log service.
func (s *Server) openLogs(ctx context.Context, config logsConfig) (*logsvc.Service, error) {
	server, err := grpcserver.New(grpcserver.Config{
		Log: s.log, Authorizer: access.NewAuthorizer(config.tokens), Instrumentation: s.telemetry.Instrumentation(), MaxMessageBytes: grpcserver.LogsMessageBytes,
	})
	if err != nil {
		return nil, err
	}
	store, err := instrumentStore(config.store, s.telemetry)
	if err != nil {
		return nil, err
	}
	if config.service.OnDamage, err = s.reportDamage(); err != nil {
		return nil, err
	}
	service := logsvc.NewService(store, config.service)
	if err := service.UpdateClock(ctx); err != nil {
		return nil, err
	}
	if err := s.registerLogs(service); err != nil {
		return nil, err
	}
	grpcapi.Register(server, service)
	listener, err := s.listenGRPC("--logs-addr", config.addr)
	if err != nil {
		return nil, err
	}
	s.logsAddr = listener.Addr()
	s.checks["request_logs"] = func(ctx context.Context) error {
		if config.ping(ctx) != nil {
			return errors.New("the store cannot be read") // the cause is not for the ops port, which needs no token
		}
		return nil
	}
	s.checks["clock"] = service.CheckClock
	s.parts = append(s.parts, background(service.FollowClock), background(func(ctx context.Context) {
		service.FollowStore(ctx, func(err error) {
			s.log.Warn("request logs cannot be followed; open streams are ended", "error", err)
		})
	}), background(func(ctx context.Context) {
		service.ExpireDaily(ctx, func(err error) { s.log.Error("expiry of old request logs failed", "error", err) })
	}), background(func(ctx context.Context) {
		service.SealPeriodically(ctx, func(err error) { s.log.Error("sealing of request logs failed", "error", err) })
	}))
	s.serveGRPC(server, append(config.inMemory, listener)...)
	return service, nil
}

// registerLogs registers the metrics of the service.
func (s *Server) registerLogs(service *logsvc.Service) error {
	rejected := counters("logs_refused_rows_total", "Rows that were rejected and will never be stored.", "reason", service.Rejected, logsvc.RejectReason.String)
	return s.telemetry.Register(append(rejected,
		telemetry.Counter("logs_purged_rows_total", "Rows that were purged.", nil, func() float64 { return float64(service.Purged()) }),
		telemetry.Gauge("logs_unconfirmed_expired_days", "UTC days older than the retention that are not deleted, because they are too many at once without a confirmation.",
			nil, func() float64 { return float64(service.Unconfirmed()) }),
		telemetry.Gauge("logs_seal_success_timestamp_seconds", "When the last pass of sealing succeeded; 0 = not since the start.",
			nil, func() float64 { return float64(service.Sealed()) }))...)
}

// reportDamage returns a function that logs and counts damaged blocks.
func (s *Server) reportDamage() (func(workspaceID string, b logsvc.Block, err error), error) {
	var count atomic.Int64
	err := s.telemetry.Register(telemetry.Counter("logs_damaged_blocks_total",
		"Times that a search has met a damaged block.", nil, func() float64 { return float64(count.Load()) }))
	return func(workspaceID string, b logsvc.Block, err error) {
		count.Add(1)
		s.log.Error("damaged block of request logs", "workspace_id", workspaceID, "first_id", b.First, "last_id", b.Last,
			"start_time", uuid7.Time(b.First), "end_time", uuid7.Time(b.Last), "rows", b.Rows, "error", err)
	}, err
}
