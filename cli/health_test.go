package cli

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthReportsReadiness(t *testing.T) {
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(r.URL.Path))
	}))
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	health := func(addr string) (code int, stdout, stderr string) {
		return keytrail(t, "health", "--ops-addr", addr)
	}
	for _, addr := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port, ":" + port} {
		if exit, out, errs := health(addr); exit != exitOK || out != "/readyz" {
			t.Errorf("%s, ready: exit code %d, %q %q", addr, exit, out, errs)
		}
	}
	code = http.StatusServiceUnavailable
	if exit, _, errs := health("127.0.0.1:" + port); exit != exitFailed || !strings.Contains(errs, "not ready") {
		t.Errorf("not ready: exit code %d, %q", exit, errs)
	}
	server.Close()
	if exit, _, errs := health("127.0.0.1:" + port); exit != exitFailed || !strings.Contains(errs, "does not respond") {
		t.Errorf("down: exit code %d, %q", exit, errs)
	}
	if exit, _, errs := health("9100"); exit != exitFailed || !strings.Contains(errs, "--ops-addr") {
		t.Errorf("no address: exit code %d, %q", exit, errs)
	}
}
