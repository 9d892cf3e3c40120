package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/keytrail/keytrail/internal/httpserver"
)

// restMetrics count requests by route (a method and a pattern, never a path) and by class of status.
type restMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newRESTMetrics() *restMetrics {
	return &restMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "http_requests_total",
			Help: "REST requests by route and class of status."}, []string{"route", "class"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "http_request_seconds",
			Help: "Duration of REST requests by route.", Buckets: latencyBuckets}, []string{"route"}),
	}
}

// noRoute is the route of requests that match none, or were refused before they were routed.
const noRoute = "none"

// routeKey is the key of a *string with the route in the context of a request.
type routeKey struct{}

// SetRoute sets the route of the request of ctx: a method and a pattern, not a path.
func SetRoute(ctx context.Context, route string) {
	if r, ok := ctx.Value(routeKey{}).(*string); ok {
		*r = route
	}
}

// REST counts and traces the requests that next serves. promhttp and otelhttp do not do the same: promhttp has no label for
// the class of a status, and otelhttp records paths, which contain workspaces and key IDs.
func (p *Process) REST(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, route := time.Now(), noRoute
		response := &httpserver.StatusRecorder{ResponseWriter: w}
		ctx, end := p.tracing.request(context.WithValue(r.Context(), routeKey{}, &route), r)
		// Deferred, to count requests that panic, too.
		defer func() {
			p.rest.requests.WithLabelValues(route, classOf(response.Status())).Inc()
			p.rest.seconds.WithLabelValues(route).Observe(time.Since(start).Seconds())
			end(route, response.Status())
		}()
		next.ServeHTTP(response, r.WithContext(ctx))
	})
}

// classOf returns 2xx, 3xx, 4xx or 5xx. A handler that wrote no response has panicked.
func classOf(status int) string {
	if status < 200 || status > 599 {
		return "5xx"
	}
	return strconv.Itoa(status/100) + "xx"
}

// request starts the span of a request.
func (t *tracing) request(ctx context.Context, r *http.Request) (spanned context.Context, end func(route string, status int)) {
	if t == nil {
		return ctx, func(string, int) {}
	}
	ctx = propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, "REST", trace.WithSpanKind(trace.SpanKindServer))
	return ctx, func(route string, status int) {
		span.SetName(route)
		span.SetAttributes(attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
		if classOf(status) == "5xx" {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
