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
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func TestReadinessHasTheResultOfEveryCheck(t *testing.T) {
	well := func(context.Context) error { return nil }
	stale := func(context.Context) error { return errors.New("30s behind") }
	for name, tt := range map[string]struct {
		checks map[string]Check
		code   int
		want   map[string]string
	}{
		"nothing to check": {nil, 200, map[string]string{}},
		"all is well":      {map[string]Check{"a": well, "b": well}, 200, map[string]string{"a": "ok", "b": "ok"}},
		"one is not":       {map[string]Check{"a": well, "b": stale}, 503, map[string]string{"a": "ok", "b": "30s behind"}},
	} {
		answer := httptest.NewRecorder()
		Ops(tt.checks, prometheus.NewRegistry()).ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
		var got map[string]string
		must(t, json.Unmarshal(answer.Body.Bytes(), &got))
		if diff := cmp.Diff(tt.want, got); diff != "" || answer.Code != tt.code || answer.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v (-want +got):\n%s", name, answer.Code, answer.Header(), diff)
		}
	}
}

func TestCheckThatHangsTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		answer := httptest.NewRecorder()
		Ops(map[string]Check{"a": hangs}, prometheus.NewRegistry()).ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
		if answer.Code != 503 {
			t.Errorf("a check that hangs answers %d", answer.Code)
		}
	})
}

func TestHealthIsThatTheProcessRuns(t *testing.T) {
	handler := Ops(map[string]Check{"a": func(context.Context) error { return errors.New("away") }}, prometheus.NewRegistry())
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/": 404, "/metrics/x": 404} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != want {
			t.Errorf("GET %s answers %d, want %d", path, answer.Code, want)
		}
	}
}

func TestServeLetsRequestsInFlightFinish(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	arrived, goOn := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-goOn
		_, _ = io.WriteString(w, "late")
	})
	ctx, cancel := context.WithCancel(t.Context())
	stopped, bodies := make(chan error, 1), make(chan string, 1)
	go func() { stopped <- Serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	go func() {
		answer, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			bodies <- err.Error()
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
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
	close(goOn)
	if body := <-bodies; body != "late" {
		t.Errorf("the request in flight ended with %q", body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("an orderly stop answers %v", err)
	}
}

func TestServeCutsOffAStalledClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		arrived := make(chan struct{})
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			_, _ = io.Copy(io.Discard, r.Body)
		})
		ctx, cancel := context.WithCancel(t.Context())
		stopped, log := make(chan error, 1), &logBuffer{}
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
			t.Errorf("a stop that cut a client off answers %v", err)
		}
		if took := time.Since(began); took != drainTimeout {
			t.Errorf("the stop took %v", took)
		}
		if records := log.records(t); len(records) != 1 || records[0]["level"] != "WARN" {
			t.Errorf("logged %v, want a warning", records)
		}
	})
}

func TestServeReturnsWhyItFailed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, listener.Close())
	if err := Serve(t.Context(), listener, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("HTTP on a closed listener answers %v", err)
	}
}

func TestProfilesExcludeTheCommandLine(t *testing.T) {
	handler := Ops(nil, prometheus.NewRegistry())
	for path, want := range map[string]int{"/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/goroutine": 200, "/debug/pprof/cmdline": 404} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != want {
			t.Errorf("GET %s answers %d, want %d", path, answer.Code, want)
		}
	}
}
