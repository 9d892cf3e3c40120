package httpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
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

// Bound makes every check return when its context ends, also one that waits for a disk or a lock that does not. A check that
// hangs runs once, however often it is asked meanwhile. Bound must be called before the first probe, when all checks are there.
func (c Checks) Bound() {
	for name, check := range c {
		c[name] = (&bounded{check: check}).result
	}
}

// run returns the result of each check: "ok", or what is wrong. The checks run at once, so that one does not hold up another.
func (c Checks) run(ctx context.Context) (results map[string]string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results, ready = make(map[string]string, len(c)), true
	var mu sync.Mutex
	var running sync.WaitGroup
	for name, check := range c {
		running.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			results[name] = "ok"
			if err != nil {
				results[name], ready = err.Error(), false
			}
		})
	}
	running.Wait()
	return results, ready
}

// bounded runs a check at most once at a time. The result is for all who ask meanwhile.
type bounded struct {
	check Check

	mu sync.Mutex
	// running is the run that has not returned; nil = there is none.
	running *checkRun
}

type checkRun struct {
	done chan struct{}
	err  error
}

func (b *bounded) result(ctx context.Context) error {
	run := b.start(ctx)
	select {
	case <-run.done:
		return run.err
	case <-ctx.Done():
		return fmt.Errorf("no result within %v", checkTimeout)
	}
}

// start returns the run that has not returned, or a new one. The end of ctx must not fail it for the others who wait for it.
func (b *bounded) start(ctx context.Context) *checkRun {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running != nil {
		return b.running
	}
	run := &checkRun{done: make(chan struct{})}
	b.running = run
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		run.err = b.check(ctx)
		b.mu.Lock()
		b.running = nil
		b.mu.Unlock()
		close(run.done)
	}()
	return run
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
