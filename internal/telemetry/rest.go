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

	"github.com/keytrail/keytrail/internal/httpstatus"
)

// restMetrics count requests by route, which is a method with a pattern and never a path, and by class of status.
type restMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newRESTMetrics() *restMetrics {
	return &restMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "http_requests_total",
			Help: "Requests of REST by route and class of status."}, []string{"route", "class"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "http_request_seconds",
			Help: "How long requests of REST took, by route.", Buckets: latencies}, []string{"route"}),
	}
}

// noRoute is the route of requests that none takes, or that were refused before.
const noRoute = "none"

// route is where the handler of a request says which route took it.
type route struct{ name string }

type routeKey struct{}

// SetRoute says which route takes the request of ctx. The name must be one of a few: a pattern, not a path.
func SetRoute(ctx context.Context, name string) {
	if r, ok := ctx.Value(routeKey{}).(*route); ok {
		r.name = name
	}
}

// REST counts the requests that next serves, and makes each a span of the trace that its client sends.
func (p *Process) REST(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, took := time.Now(), &route{noRoute}
		answer := &httpstatus.Writer{ResponseWriter: w}
		ctx, end := p.tracing.request(context.WithValue(r.Context(), routeKey{}, took), r)
		// Deferred: a panic goes on to whoever answers it.
		defer func() {
			class := classOf(answer.Status())
			p.rest.requests.WithLabelValues(took.name, class).Inc()
			p.rest.seconds.WithLabelValues(took.name).Observe(time.Since(began).Seconds())
			end(took.name, answer.Status())
		}()
		next.ServeHTTP(answer, r.WithContext(ctx))
	})
}

// classOf is 2xx, 3xx, 4xx or 5xx. A handler that has not answered has broken.
func classOf(status int) string {
	if status < 200 || status > 599 {
		return "5xx"
	}
	return strconv.Itoa(status/100) + "xx"
}

// request begins the span of a request. Its path, which names workspaces and keys, is not in it: the route is.
func (t *tracing) request(ctx context.Context, r *http.Request) (spanned context.Context, end func(route string, status int)) {
	if t == nil {
		return ctx, func(string, int) {}
	}
	ctx = w3c.Extract(ctx, propagation.HeaderCarrier(r.Header))
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
