package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check tells whether one thing that a part needs is there; nil = it is. It must answer fast.
type Check func(ctx context.Context) error

// checkTime is how long all checks of one answer may take: probes do not wait much longer.
const checkTime = time.Second

// Ops is the handler of the ops port: /healthz says that the process runs, /readyz that it can do its work, /metrics
// are for Prometheus. All are open to whoever reaches the port and hold no data of any workspace.
func Ops(checks map[string]Check, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, checks) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

// ready answers 200 or 503 with a JSON object of every check: "ok", or what is wrong.
func ready(w http.ResponseWriter, r *http.Request, checks map[string]Check) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	code, result := http.StatusOK, make(map[string]string, len(checks))
	for name, check := range checks {
		result[name] = "ok"
		if err := check(ctx); err != nil {
			code, result[name] = http.StatusServiceUnavailable, err.Error()
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(result) // the prober is gone: nobody to tell
}
