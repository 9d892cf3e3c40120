// Package telemetry is how a process can be seen: its metrics, for Prometheus, and its traces, for whoever collects
// OTLP. Labels are few and known beforehand: never a workspace, a key, an address, a path or anything else that a
// caller sends. It knows no service.
package telemetry

import (
	"errors"
	"fmt"
	"runtime"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// latencies are the bounds of histograms of what takes time, in seconds: from a check, which takes some 100 µs, to a
// search that uses up its budget, and to what is cut off.
var latencies = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}

// Process is the telemetry of one process. It may be used concurrently.
type Process struct {
	// Metrics are what /metrics shows.
	Metrics *prometheus.Registry
	rpcs    *grpcprom.ServerMetrics
	rest    *restMetrics
	// tracing is nil where nobody collects traces.
	tracing *tracing
}

// New makes the telemetry of a process. The part is what it does ("authsvc"), the version what it was built from.
// Traces are sent where OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, says. Close sends the last.
func New(part, version string) (*Process, error) {
	p := &Process{
		Metrics: prometheus.NewRegistry(), rest: newRESTMetrics(),
		rpcs: grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram(grpcprom.WithHistogramBuckets(latencies))),
	}
	built := prometheus.Labels{"part": part, "version": version, "go": runtime.Version()}
	err := p.Register(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		Gauge("build_info", "1; its labels say what runs.", built, func() float64 { return 1 }),
		p.rpcs, p.rest.requests, p.rest.seconds,
	)
	if err != nil {
		return nil, err
	}
	p.tracing, err = newTracing(part, version)
	return p, err
}

// Close sends the traces that were not sent yet, as far as it can within 2 s.
func (p *Process) Close() error { return p.tracing.close() }

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

const namespace = "keytrail"

// Gauge is a number that is read when it is asked for. The name is without "keytrail_".
func Gauge(name, help string, labels prometheus.Labels, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels}, read)
}

// Counter is a number that only grows and is read when it is asked for. The name is without "keytrail_".
func Counter(name, help string, labels prometheus.Labels, read func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels}, read)
}

// Seconds is a histogram of how long something takes. The name is without "keytrail_".
func Seconds(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: latencies})
}

// Sizes is a histogram of how many there are, from 1 to 1000. The name is without "keytrail_".
func Sizes(name, help string) prometheus.Histogram {
	bounds := []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: bounds})
}
