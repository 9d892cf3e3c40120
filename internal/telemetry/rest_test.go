package telemetry

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func newProcess(t *testing.T) *Process {
	t.Helper()
	p, err := New("test", "v1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// scrape returns the lines of a metric at /metrics.
func (p *Process) scrape(name string) (lines string) {
	response := httptest.NewRecorder()
	promhttp.HandlerFor(p.Metrics, promhttp.HandlerOpts{}).ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(response.Body.String()) {
		if strings.HasPrefix(line, name) {
			lines += line
		}
	}
	return lines
}

func TestRequestsAreCountedByRouteAndClass(t *testing.T) {
	p := newProcess(t)
	handler := p.REST(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/known/") {
			SetRoute(r.Context(), "GET /known/{id}")
		}
		switch r.URL.Path {
		case "/known/broken":
			panic("broken")
		case "/known/missing", "/unknown":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = w.Write([]byte("ok"))
		}
	}))
	for _, path := range []string{"/known/a", "/known/b", "/known/missing", "/known/broken", "/unknown"} {
		func() {
			defer func() {
				if p := recover(); (p != nil) != (path == "/known/broken") {
					t.Errorf("GET %s panics with %v", path, p)
				}
			}()
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}()
	}
	want := `keytrail_http_requests_total{class="2xx",route="GET /known/{id}"} 2
keytrail_http_requests_total{class="4xx",route="GET /known/{id}"} 1
keytrail_http_requests_total{class="4xx",route="none"} 1
keytrail_http_requests_total{class="5xx",route="GET /known/{id}"} 1
`
	if got := p.scrape("keytrail_http_requests_total"); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestDuplicateMetricIsAnError(t *testing.T) {
	p := newProcess(t)
	gauge := func() float64 { return 1 }
	if err := p.Register(Gauge("one", "One.", nil, gauge), Gauge("one", "One.", nil, gauge)); err == nil {
		t.Error("both were registered")
	}
}
