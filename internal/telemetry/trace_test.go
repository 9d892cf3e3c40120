package telemetry

import (
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// A compose file hands on what is set, and what is set to nothing.
func TestAnEmptyVariableIsNotSet(t *testing.T) {
	for _, name := range []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS",
		"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME",
	} {
		t.Setenv(name, "")
	}
	if newProcess(t).Traced() {
		t.Error("traces are collected at no address")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	p := newProcess(t)
	if !p.Traced() {
		t.Fatal("no traces are collected")
	}
	ctx, _ := p.Span(t.Context(), "a call without end, of which nothing is sent", 1)
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		t.Error("an empty sampler takes no traces")
	}
}
