// Package telemetry provides the metrics of a process, for Prometheus, and its traces, for OTLP. Labels have few values that
// are known in advance: never a workspace, a key, an address, a path or anything else that a caller sends.
package telemetry

import (
	"errors"
	"fmt"
	"runtime"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/internal/grpcserver"
)

// latencyBuckets are in seconds: from a check, which takes some 100 µs, to a search that exceeds its budget.
var latencyBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}

// Process is the telemetry of a process. It is safe for concurrent use.
type Process struct {
	// Metrics are served at /metrics.
	Metrics *prometheus.Registry
	rpcs    *grpcprom.ServerMetrics
	rest    *restMetrics
	tracing *tracing // nil = off
}

// New returns the telemetry of a process that runs a part of a version. Traces are sent to OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT; without them tracing is off.
func New(part, version string) (*Process, error) {
	p := &Process{
		Metrics: prometheus.NewRegistry(), rest: newRESTMetrics(),
		rpcs: grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(grpcprom.WithHistogramBuckets(latencyBuckets))),
	}
	labels := prometheus.Labels{"part": part, "version": version, "go": runtime.Version()}
	err := p.Register(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		Gauge("build_info", "1, with the version in labels.", labels, func() float64 { return 1 }),
		p.rpcs, p.rest.requests, p.rest.seconds,
	)
	if err != nil {
		return nil, err
	}
	p.tracing, err = newTracing(part, version)
	return p, err
}

// Register adds metrics.
func (p *Process) Register(all ...prometheus.Collector) error {
	var errs []error
	for _, c := range all {
		errs = append(errs, p.Metrics.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// Instrumentation counts the RPCs of a gRPC server by method and code, and traces them.
func (p *Process) Instrumentation() grpcserver.Instrumentation {
	w := grpcserver.Instrumentation{Unary: p.rpcs.UnaryServerInterceptor(), Stream: p.rpcs.StreamServerInterceptor()}
	if p.tracing != nil {
		w.Stats = otelgrpc.NewServerHandler(p.tracing.grpcOptions()...)
	}
	return w
}

// DialOptions propagate traces to the called service.
func (p *Process) DialOptions() []grpc.DialOption {
	if p.tracing == nil {
		return nil
	}
	return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(p.tracing.grpcOptions()...))}
}

// The functions below take the name of a metric without "keytrail_".
const namespace = "keytrail"

// Gauge returns a gauge whose value is read at each scrape.
func Gauge(name, help string, labels prometheus.Labels, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels}, read)
}

// Counter returns a counter whose value is read at each scrape.
func Counter(name, help string, labels prometheus.Labels, read func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels}, read)
}

// Seconds returns a histogram of durations.
func Seconds(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: latencyBuckets})
}

// Sizes returns a histogram of sizes from 1 to 1000.
func Sizes(name, help string) prometheus.Histogram {
	buckets := []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
}

// Pool returns the metrics of a pool of connections to Postgres, with the name as label.
func Pool(name string, stat func() *pgxpool.Stat) []prometheus.Collector {
	labels := prometheus.Labels{"pool": name}
	gauge := func(name, help string, read func(*pgxpool.Stat) float64) prometheus.Collector {
		return Gauge("pool_"+name, help, labels, func() float64 { return read(stat()) })
	}
	counter := func(name, help string, read func(*pgxpool.Stat) float64) prometheus.Collector {
		return Counter("pool_"+name, help, labels, func() float64 { return read(stat()) })
	}
	return []prometheus.Collector{
		gauge("acquired_connections", "Connections to Postgres in use.", func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) }),
		gauge("idle_connections", "Idle connections to Postgres.", func(s *pgxpool.Stat) float64 { return float64(s.IdleConns()) }),
		gauge("max_connections", "Maximum number of connections to Postgres.", func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }),
		counter("acquires_total", "Acquired connections.", func(s *pgxpool.Stat) float64 { return float64(s.AcquireCount()) }),
		counter("waited_acquires_total", "Acquired connections that had to be waited for.", func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) }),
		counter("wait_seconds_total", "Total time spent waiting for connections.", func(s *pgxpool.Stat) float64 { return s.EmptyAcquireWaitTime().Seconds() }),
	}
}
