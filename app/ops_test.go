package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// request requests a path of a server and returns the status and the body.
func request(t *testing.T, addr, host, path string) (code int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// run runs a server until the test ends.
func run(t *testing.T, server *Server, err error) *Server {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return server
}

// TestLocalPortsRefuseOtherHosts requests what a page of evil.example.com could, whose host name resolves to 127.0.0.1.
func TestLocalPortsRefuseOtherHosts(t *testing.T) {
	server, err := NewServer(t.Context(), serveConfig(t.TempDir()), slog.New(slog.DiscardHandler), time.Now)
	run(t, server, err)
	for port, addr := range map[string]string{"ops": server.OpsAddr(), "gateway": server.GatewayAddr()} {
		path := map[string]string{"ops": "/metrics", "gateway": "/openapi.json"}[port]
		for host, want := range map[string]int{"localhost": 200, "127.0.0.1:1": 200, "evil.example.com": 403, "evil.example.com:9100": 403} {
			if code, body := request(t, addr, host, path); code != want {
				t.Errorf("%s of the port %s for the host %s: %d %.200s, want %d", path, port, host, code, body, want)
			}
		}
	}
}

// operatorAddr returns the address that a server listens on for a flag, without --.
func operatorAddr(t *testing.T, server *Server, flag string) string {
	t.Helper()
	i := slices.Index(server.listening, any(flag))
	if i < 0 {
		t.Fatalf("nothing listens for %s: %v", flag, server.listening)
	}
	return server.listening[i+1].(string)
}

func TestOpsPortServesFromTheStartToTheEnd(t *testing.T) {
	expect := func(server *Server, path string, wantCode int, want string) {
		t.Helper()
		if code, body := request(t, server.OpsAddr(), "localhost", path); code != wantCode || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s, want %d %q", path, code, body, wantCode, want)
		}
	}
	server, err := newServer("test", slog.New(slog.DiscardHandler), "127.0.0.1:0", listenFlags{}, func(s *Server) error {
		expect(s, "/healthz", 200, "ok")
		expect(s, "/readyz", 503, `"process":"starting: opening the parts"`)
		s.starting("loading")
		expect(s, "/readyz", 503, "starting: loading")
		expect(s, "/metrics", 200, "keytrail_ready 0")
		s.checks["part"] = func(context.Context) error { return nil }
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(server, "/readyz", 503, "starting")
	ctx, stop := context.WithCancel(t.Context())
	server.parts = append(server.parts, func(ctx context.Context) error {
		expect(server, "/readyz", 200, `"part":"ok"`)
		stop()
		<-ctx.Done()
		// The ops port is the last to stop.
		expect(server, "/readyz", 503, "stopping")
		expect(server, "/healthz", 200, "ok")
		return nil
	})
	if err := server.Run(ctx); err != nil {
		t.Error(err)
	}
	expectClosed(t, server)
}

func TestFailedStartClosesTheOpsPort(t *testing.T) {
	broken := errors.New("broken")
	var failed *Server
	_, err := newServer("test", slog.New(slog.DiscardHandler), "127.0.0.1:0", listenFlags{}, func(s *Server) error {
		failed = s
		return broken
	})
	if !errors.Is(err, broken) || err.Error() != broken.Error() {
		t.Errorf("the start returned %v", err)
	}
	expectClosed(t, failed)
}

func expectClosed(t *testing.T, server *Server) {
	t.Helper()
	if conn, err := net.Dial("tcp", server.OpsAddr()); err == nil {
		conn.Close()
		t.Error("the ops port is still open")
	}
}

func TestProfilesHaveAPortOfTheirOwn(t *testing.T) {
	config := serveConfig(t.TempDir())
	config.PprofAddr = "127.0.0.1:0"
	server, err := NewServer(t.Context(), config, slog.New(slog.DiscardHandler), time.Now)
	run(t, server, err)
	pprof := operatorAddr(t, server, "pprof-addr")
	for _, tt := range []struct {
		addr, host string
		want       int
	}{
		{server.OpsAddr(), "localhost", 404}, {server.GatewayAddr(), "localhost", 404}, {pprof, "localhost", 200}, {pprof, "evil.example.com", 403},
	} {
		if code, body := request(t, tt.addr, tt.host, "/debug/pprof/"); code != tt.want {
			t.Errorf("profiles of %s for the host %s: %d %.200s, want %d", tt.addr, tt.host, code, body, tt.want)
		}
	}
}
