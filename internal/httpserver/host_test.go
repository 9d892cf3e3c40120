package httpserver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOpsPortOnLoopbackRefusesOtherHosts(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {})
	for listener, loopback := range map[string]bool{"127.0.0.1": true, "::1": true, "::": false, "10.0.0.1": false} {
		handler := OpsHosts(ok, &net.TCPAddr{IP: net.ParseIP(listener), Port: 9100})
		for host, own := range map[string]bool{
			"localhost": true, "LocalHost:9100": true, "127.0.0.1": true, "127.9.9.9:1": true, "[::1]:9100": true, "[::1]": true,
			"[::ffff:127.0.0.1]:1": true, "evil.example.com": false, "evil.example.com:9100": false, "10.0.0.1:9100": false,
			"localhost.evil.com": false, "127.0.0.1.nip.io": false, "0.0.0.0:9100": false, "": false,
		} {
			request, response := httptest.NewRequest("GET", "/metrics", nil), httptest.NewRecorder()
			request.Host = host
			handler.ServeHTTP(response, request)
			want := http.StatusOK
			if loopback && !own {
				want = http.StatusForbidden
			}
			if response.Code != want || want != http.StatusOK && !strings.Contains(response.Body.String(), "localhost") {
				t.Errorf("a request for %q to a listener on %s: %d %q, want %d", host, listener, response.Code, response.Body, want)
			}
		}
	}
}
