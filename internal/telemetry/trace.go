package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// flushTimeout limits the export of the last traces at shutdown.
const flushTimeout = 2 * time.Second

// propagator reads and writes traceparent and tracestate, but no baggage, which holds whatever a caller sends.
var propagator = propagation.TraceContext{}

// The error handler of OpenTelemetry is global. It receives errors of the exporter.
func init() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { slog.Warn("traces cannot be exported", "error", err) }))
}

// tracing creates spans and exports them in batches. Spans that do not fit into its queue are dropped.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// newTracing returns nil if no endpoint is set. The exporter, the queue and the sampler read the other variables of
// OpenTelemetry themselves: OTEL_EXPORTER_OTLP_…, OTEL_BSP_…, OTEL_TRACES_SAMPLER.
func newTracing(part, version string) (*tracing, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil
	}
	ctx := context.Background() // nothing here blocks: the exporter connects when it has spans to send
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	// No process attributes: the command line can contain the password of the database.
	attributes, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", namespace+"-"+part), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err), exporter.Shutdown(ctx))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(errorRemover{exporter}), sdktrace.WithResource(attributes))
	return &tracing{provider: provider, tracer: provider.Tracer("github.com/keytrail/keytrail")}, nil
}

// errorRemover exports spans without error messages, which otelgrpc adds and which can repeat what a caller has sent.
type errorRemover struct{ sdktrace.SpanExporter }

// ExportSpans implements sdktrace.SpanExporter.
func (e errorRemover) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	cleaned := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		cleaned[i] = spanWithoutError{span}
	}
	return e.SpanExporter.ExportSpans(ctx, cleaned)
}

type spanWithoutError struct{ sdktrace.ReadOnlySpan }

// Status returns the code only.
func (s spanWithoutError) Status() sdktrace.Status {
	return sdktrace.Status{Code: s.ReadOnlySpan.Status().Code}
}

// grpcOptions trace every RPC except health checks. They record no metrics, because /metrics has the same ones.
func (t *tracing) grpcOptions() []otelgrpc.Option {
	return []otelgrpc.Option{
		otelgrpc.WithTracerProvider(t.provider), otelgrpc.WithPropagators(propagator),
		otelgrpc.WithMeterProvider(noop.NewMeterProvider()), otelgrpc.WithFilter(filters.Not(filters.HealthCheck())),
	}
}

// Close flushes the traces. It waits up to 2 s. It logs a failure and returns nil, because the shutdown must not fail.
func (p *Process) Close() error {
	if p.tracing == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := p.tracing.provider.Shutdown(ctx); err != nil {
		slog.Warn("traces not exported at shutdown; they are lost", "error", err)
	}
	return nil
}

// Traced reports whether tracing is on.
func (p *Process) Traced() bool { return p.tracing != nil }

// Span starts a span about a number of rows in the trace of ctx; end ends it. Without tracing it does nothing.
func (p *Process) Span(ctx context.Context, name string, rows int) (spanned context.Context, end func(error)) {
	if p.tracing == nil {
		return ctx, func(error) {}
	}
	ctx, span := p.tracing.tracer.Start(ctx, name, trace.WithAttributes(attribute.Int("keytrail.rows", rows)))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "") // the message is only logged
		}
		span.End()
	}
}
