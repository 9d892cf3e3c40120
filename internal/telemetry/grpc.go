package telemetry

import (
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"google.golang.org/grpc"
)

// ServerOptions make a gRPC server count its RPCs by method and code, and take part in traces. They must come before
// every other interceptor: what others refuse is counted too.
func (p *Process) ServerOptions() []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(p.rpcs.UnaryServerInterceptor()),
		grpc.ChainStreamInterceptor(p.rpcs.StreamServerInterceptor()),
	}
	if p.tracing == nil {
		return options
	}
	return append(options, grpc.StatsHandler(otelgrpc.NewServerHandler(p.tracing.grpc()...)))
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
