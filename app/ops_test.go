package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"
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
