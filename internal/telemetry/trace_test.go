package telemetry

import (
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// A compose file passes variables on even if they are empty.
func TestEmptyVariableIsUnset(t *testing.T) {
	for _, name := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS",
		"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME",
	} {
		t.Setenv(name, "")
	}
	if newProcess(t).Traced() {
		t.Error("tracing is on without an endpoint")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	p := newProcess(t)
	if !p.Traced() {
		t.Fatal("tracing is off")
	}
	ctx, _ := p.Span(t.Context(), "a span that never ends and is never sent", 1)
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		t.Error("an empty sampler drops the trace")
	}
}
