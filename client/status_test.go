package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keytrail/keytrail/client/keytrailtest"
)

// end is a way to end a response.
type end struct {
	name    string
	status  int32
	handler http.HandlerFunc
	// leaves is set if the caller goes away when arrived has a value.
	leaves bool
	// http1 is set if HTTP/2 does not have it.
	http1 bool
}

func ends(file string, arrived chan struct{}) []end {
	gone := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case arrived <- struct{}{}:
			<-r.Context().Done()
		case <-r.Context().Done():
		}
	}
	return []end{
		{name: "nothing", status: 200, handler: func(http.ResponseWriter, *http.Request) {}},
		{name: "body", status: 200, handler: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }},
		{name: "string", status: 200, handler: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }},
		{name: "not-found", status: 404, handler: http.NotFound},
		{name: "not-modified", status: 304, handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }},
		{name: "failed", status: 500, handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 500) }},
		{name: "twice", status: 201, handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) }},
		{name: "early-hints", status: 202, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(202)
		}},
		{name: "file", status: 200, handler: func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }},
		{name: "unreadable", status: 502, handler: func(w http.ResponseWriter, _ *http.Request) {
			if _, err := io.Copy(w, unreadable{}); err != nil {
				w.WriteHeader(502)
			}
		}},
		{name: "invalid-status", status: 503, handler: func(w http.ResponseWriter, _ *http.Request) {
			defer func() {
				recover()
				w.WriteHeader(503)
			}()
			w.WriteHeader(1000) // it panics
		}},
		{name: "hijacked", status: 101, handler: hijack, http1: true},
		{name: "panic", status: 500, handler: func(http.ResponseWriter, *http.Request) { panic("a test") }},
		{name: "panic-unsent", status: 500, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			panic("a test")
		}},
		{name: "panic-flushed", status: 203, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(203)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}},
		{name: "panic-written", status: 200, handler: func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat("x", 9<<10))
			panic(http.ErrAbortHandler)
		}},
		{name: "gone", status: 499, handler: gone, leaves: true},
		{name: "gone-unsent", status: 499, leaves: true, handler: func(w http.ResponseWriter, r *http.Request) {
			gone(w, r)
			w.WriteHeader(500)
		}},
		{name: "gone-flushed", status: 200, handler: func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
			gone(w, r)
		}, leaves: true},
	}
}

// unreadable is a body that cannot be read.
type unreadable struct{}

func (unreadable) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func hijack(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
}

func TestStatusIsThatOfTheResponse(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2=%t", http2), func(t *testing.T) {
			t.Parallel()
			testStatuses(t, http2)
		})
	}
}

func testStatuses(t *testing.T, http2 bool) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan struct{})
	keytrail := keytrailtest.Start(t)
	secret, mux := keytrail.CreateKey("acme", nil), http.NewServeMux()
	server := httptest.NewUnstartedServer(keytrail.Client().HTTPMiddleware(mux))
	server.Config.ErrorLog, server.EnableHTTP2 = discard, http2
	if http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	want := map[string]int32{}
	for _, e := range ends(file, arrived) {
		if http2 && e.http1 {
			continue
		}
		path := "/v1/agents/" + e.name
		want[path] = e.status
		mux.HandleFunc(path, e.handler)
		ctx, leave := context.WithCancel(t.Context())
		left, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(left)
			select {
			case <-arrived:
				leave()
			case <-ended:
			}
		}()
		response := getBy(t, ctx, server.Client(), server.URL+path, secret)
		if response != nil && int32(response.StatusCode) != e.status {
			t.Errorf("%s: the caller gets %d, want %d", e.name, response.StatusCode, e.status)
		}
		if response != nil {
			_, _ = io.Copy(io.Discard, response.Body) // it fails after a panic, and when the caller has gone away
		}
		close(ended)
		<-left
		leave()
	}
	rows := keytrail.AwaitRequestLogs("acme", len(want))
	for path, status := range want {
		if got := row(t, rows, path); got.GetStatus() != status {
			t.Errorf("%s: status %d, want %d", path, got.GetStatus(), status)
		}
	}
}
