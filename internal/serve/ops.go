package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check tells whether one thing that a part needs is there; nil = it is. It must answer fast.
type Check func(ctx context.Context) error

// checkTime is how long all checks of one answer may take: probes do not wait much longer.
const checkTime = time.Second

// Checks are what makes a process ready, by name.
type Checks map[string]Check

// Ready tells whether all is well.
func (c Checks) Ready(ctx context.Context) bool {
	_, ready := c.ask(ctx)
	return ready
}

// ask answers what each check says: "ok", or what is wrong.
func (c Checks) ask(ctx context.Context) (results map[string]string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
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

// Ops is the handler of the ops port: /healthz says that the process runs, whatever its neighbours do, /readyz that it
// can do its work, /metrics are for Prometheus, and /debug/pprof/ shows what it is busy with. All are open to whoever
// reaches the port, which is for operators alone, and hold no data of any workspace.
func Ops(checks Checks, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, checks) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	profiles(mux)
	return mux
}

// ready answers 200 or 503 with a JSON object of every check: "ok", or what is wrong.
func ready(w http.ResponseWriter, r *http.Request, checks Checks) {
	result, well := checks.ask(r.Context())
	code := http.StatusOK
	if !well {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(result) // the prober is gone: nobody to tell
}

// profiles offers the profiles of Go, except the command line, which may hold the password of a database.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /debug/pprof/cmdline", http.NotFoundHandler())
}
