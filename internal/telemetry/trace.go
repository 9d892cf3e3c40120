package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

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

// flushTime is how long the last traces have to be sent at the end.
const flushTime = 2 * time.Second

var (
	// w3c is how a trace goes from one process to the next: traceparent and tracestate, and no baggage, which is
	// whatever a stranger sends.
	w3c = propagation.TraceContext{}
	// noMetrics are those of OpenTelemetry: /metrics has the same.
	noMetrics = noop.NewMeterProvider()
)

// OpenTelemetry has one handler of errors a process, like gRPC its logger. It is told of traces that could not be sent.
func init() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { slog.Warn("traces", "error", err) }))
}

// tracing makes spans and sends them in batches. What does not fit into its queue, because nobody takes it, is dropped.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// newTracing answers nil where nobody collects. The exporter, the queue and the sampler read the other variables of
// OpenTelemetry themselves: OTEL_EXPORTER_OTLP_…, OTEL_BSP_…, OTEL_TRACES_SAMPLER.
func newTracing(part, version string) (*tracing, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil
	}
	ctx := context.Background() // nothing is waited for: the exporter connects when it has something to send
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	// Of the process nothing is told by itself: its command line may hold the password of the database.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", namespace+"-"+part), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err), exporter.Shutdown(ctx))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(wordless{exporter}), sdktrace.WithResource(about))
	return &tracing{provider: provider, tracer: provider.Tracer("github.com/keytrail/keytrail")}, nil
}

// wordless sends spans without what errors say, which may repeat what a caller has sent; gRPC's own spans have it. Their
// codes tell what happened.
type wordless struct{ sdktrace.SpanExporter }

// ExportSpans implements sdktrace.SpanExporter.
func (w wordless) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	silent := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		silent[i] = wordlessSpan{span}
	}
	return w.SpanExporter.ExportSpans(ctx, silent)
}

type wordlessSpan struct{ sdktrace.ReadOnlySpan }

// Status is the code alone.
func (s wordlessSpan) Status() sdktrace.Status {
	return sdktrace.Status{Code: s.ReadOnlySpan.Status().Code}
}

// close sends what is left. That it could not be sent is no reason to fail: it is logged.
func (t *tracing) close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		slog.Warn("traces are lost at the end", "error", err)
	}
	return nil
}

// Traced tells whether anybody collects traces.
func (p *Process) Traced() bool { return p.tracing != nil }

// Span begins a span of the trace of ctx; end ends it with what came of it. Rows is how many rows it is about. Without
// tracing it does nothing.
func (p *Process) Span(ctx context.Context, name string, rows int) (spanned context.Context, end func(error)) {
	if p.tracing == nil {
		return ctx, func(error) {}
	}
	ctx, span := p.tracing.tracer.Start(ctx, name, trace.WithAttributes(attribute.Int("keytrail.rows", rows)))
	return ctx, func(err error) {
		if err != nil {
			// Only that it failed: what it says is for the log.
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
