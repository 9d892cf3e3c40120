package telemetry

import (
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/internal/serve"
)

// Watchers make a gRPC server count its RPCs by method and code, and take part in traces.
func (p *Process) Watchers() *serve.Watchers {
	w := &serve.Watchers{Unary: p.rpcs.UnaryServerInterceptor(), Stream: p.rpcs.StreamServerInterceptor()}
	if p.tracing != nil {
		w.Stats = otelgrpc.NewServerHandler(p.tracing.grpc()...)
	}
	return w
}

// DialOptions make a connection carry traces to the other side.
func (p *Process) DialOptions() []grpc.DialOption {
	if p.tracing == nil {
		return nil
	}
	return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(p.tracing.grpc()...))}
}

// grpc says what of RPCs is traced: everything but what probes ask.
func (t *tracing) grpc() []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(t.provider), otelgrpc.WithPropagators(w3c),
		otelgrpc.WithMeterProvider(noMetrics), otelgrpc.WithFilter(filters.Not(filters.HealthCheck())),
	}
}
