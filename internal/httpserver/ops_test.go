package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/keytrail/keytrail/internal/testing/logtest"
)

func TestReadinessHasTheResultOfEveryCheck(t *testing.T) {
	healthy := func(context.Context) error { return nil }
	stale := func(context.Context) error { return errors.New("30s behind") }
	for name, tt := range map[string]struct {
		checks map[string]Check
		code   int
		want   map[string]string
	}{
		"nothing to check": {nil, 200, map[string]string{}},
		"all is well":      {map[string]Check{"a": healthy, "b": healthy}, 200, map[string]string{"a": "ok", "b": "ok"}},
		"one is not":       {map[string]Check{"a": healthy, "b": stale}, 503, map[string]string{"a": "ok", "b": "30s behind"}},
	} {
		response := httptest.NewRecorder()
		Ops(tt.checks, prometheus.NewRegistry()).ServeHTTP(response, httptest.NewRequest("GET", "/readyz", nil))
		var got map[string]string
		must(t, json.Unmarshal(response.Body.Bytes(), &got))
		if diff := cmp.Diff(tt.want, got); diff != "" || response.Code != tt.code || response.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v (-want +got):\n%s", name, response.Code, response.Header(), diff)
		}
	}
}

func TestCheckThatHangsTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		response := httptest.NewRecorder()
		Ops(map[string]Check{"a": hangs}, prometheus.NewRegistry()).ServeHTTP(response, httptest.NewRequest("GET", "/readyz", nil))
		if response.Code != 503 {
			t.Errorf("a check that hangs returned %d", response.Code)
		}
	})
}

// probe returns the result of /readyz.
func probe(t *testing.T, handler http.Handler) (code int, results map[string]string) {
	t.Helper()
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest("GET", "/readyz", nil))
	must(t, json.Unmarshal(response.Body.Bytes(), &results))
	return response.Code, results
}

// A check may wait for a disk that does not respond, which no context ends.
func TestCheckThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, release := atomic.Int64{}, make(chan struct{})
		checks := Checks{
			"hangs": func(context.Context) error { calls.Add(1); <-release; return nil },
			"works": func(ctx context.Context) error { return ctx.Err() },
		}
		checks.Bound()
		handler := Ops(checks, prometheus.NewRegistry())
		for range 3 {
			code, results := probe(t, handler)
			if diff := cmp.Diff(map[string]string{"hangs": "no result within 1s", "works": "ok"}, results); diff != "" || code != 503 {
				t.Errorf("%d (-want +got):\n%s", code, diff)
			}
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("the check that hangs was called %d times", n)
		}
		close(release)
		synctest.Wait()
		if code, results := probe(t, handler); code != 200 || calls.Load() != 2 {
			t.Errorf("when it returns again: %d %v, called %d times", code, results, calls.Load())
		}
	})
}

func TestProbeThatGoesAwayFailsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := Checks{"slow": func(ctx context.Context) error {
			select {
			case <-time.After(checkTimeout / 2):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		checks.Bound()
		gone, cancel := context.WithCancel(t.Context())
		first, second := make(chan bool, 1), make(chan bool, 1)
		go func() { first <- checks.Ready(gone) }()
		synctest.Wait()
		go func() { second <- checks.Ready(t.Context()) }()
		synctest.Wait()
		cancel()
		if <-first || !<-second {
			t.Error("want not ready for the probe that went away, ready for the other")
		}
	})
}

func TestHealthzReportsThatTheProcessRuns(t *testing.T) {
	handler := Ops(map[string]Check{"a": func(context.Context) error { return errors.New("unavailable") }}, prometheus.NewRegistry())
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/": 404, "/metrics/x": 404} {
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, httptest.NewRequest("GET", path, nil))
		if response.Code != want {
			t.Errorf("GET %s returned %d, want %d", path, response.Code, want)
		}
	}
}

func TestServeLetsRequestsInFlightFinish(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	arrived, release := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "late")
	})
	ctx, cancel := context.WithCancel(t.Context())
	stopped, bodies := make(chan error, 1), make(chan string, 1)
	go func() { stopped <- Serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	go func() {
		response, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			bodies <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		bodies <- string(body)
	}()
	<-arrived
	cancel()
	for { // the listener closes when the stop has begun
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			break
		}
		conn.Close()
	}
	close(release)
	if body := <-bodies; body != "late" {
		t.Errorf("the request in flight ended with %q", body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("an orderly stop returned %v", err)
	}
}

func TestServeCutsOffAStalledClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		arrived := make(chan struct{})
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			_, _ = io.Copy(io.Discard, r.Body)
		})
		ctx, cancel := context.WithCancel(t.Context())
		stopped, log := make(chan error, 1), &logtest.Buffer{}
		go func() { stopped <- Serve(ctx, listener, handler, slog.New(slog.NewJSONHandler(log, nil))) }()
		conn, server := net.Pipe()
		defer conn.Close()
		listener.conns <- server
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
		must(t, err)
		<-arrived
		began := time.Now()
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("a stop that cut a client off returned %v", err)
		}
		if took := time.Since(began); took != drainTimeout {
			t.Errorf("the stop took %v", took)
		}
		if records := log.Records(t); len(records) != 1 || records[0]["level"] != "WARN" {
			t.Errorf("logged %v, want a warning", records)
		}
	})
}

func TestServeReturnsWhyItFailed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, listener.Close())
	if err := Serve(t.Context(), listener, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("HTTP on a closed listener returned %v", err)
	}
}

func TestProfilesExcludeTheCommandLine(t *testing.T) {
	ops := Ops(nil, prometheus.NewRegistry())
	for path, want := range map[string]int{"/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/goroutine": 200, "/debug/pprof/cmdline": 404} {
		response := httptest.NewRecorder()
		Profiles().ServeHTTP(response, httptest.NewRequest("GET", path, nil))
		if response.Code != want {
			t.Errorf("GET %s returned %d, want %d", path, response.Code, want)
		}
		response = httptest.NewRecorder()
		ops.ServeHTTP(response, httptest.NewRequest("GET", path, nil))
		if response.Code != 404 {
			t.Errorf("GET %s of the ops port returned %d", path, response.Code)
		}
	}
}
