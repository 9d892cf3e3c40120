package httpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is a readiness check. It returns what is wrong, or nil, and must be fast.
type Check func(ctx context.Context) error

// checkTimeout bounds all checks of one request: probes do not wait much longer.
const checkTimeout = time.Second

// Checks are the readiness checks of a process, by name.
type Checks map[string]Check

// Ready reports whether all checks pass.
func (c Checks) Ready(ctx context.Context) bool {
	_, ready := c.run(ctx)
	return ready
}

// run returns the result of each check: "ok", or what is wrong.
func (c Checks) run(ctx context.Context) (results map[string]string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results, ready = make(map[string]string, len(c)), true
	for name, check := range c {
		results[name] = "ok"
		if err := check(ctx); err != nil {
			results[name], ready = err.Error(), false
		}
	}
	return results, ready
}

// Ops returns the handler of the ops port: /healthz reports that the process runs, /readyz whether it can do its work, and
// /metrics is for Prometheus. All are open to everyone who can reach the port, and contain no data of a workspace.
func Ops(checks Checks, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, checks) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

// ready responds with 200 or 503, and the result of every check as a JSON object.
func ready(w http.ResponseWriter, r *http.Request, checks Checks) {
	results, ok := checks.run(r.Context())
	code := http.StatusOK
	if !ok {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(results) // fails only if the client has gone
}
