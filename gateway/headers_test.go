package gateway

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	handler, _ := newGateway(t, console)
	for name, tt := range map[string]struct {
		method, path, body string
		header             []string
		code               int
	}{
		"an answer":        {"POST", "/v1/check", `{"agentType":"agent"}`, nil, 200},
		"a bad request":    {"POST", "/v1/check", `{`, nil, 400},
		"a body too large": {"POST", "/v1/check", strings.Repeat(" ", maxBody+1), nil, 413},
		"another origin":   {"POST", "/v1/check", `{}`, []string{"Origin", "https://evil.example.com"}, 403},
		"no such key":      {"GET", "/v1/workspaces/globex/keys/" + keyID, "", nil, 404},
		"no such path":     {"GET", "/", "", nil, 404},
		"a wrong verb":     {"PUT", "/v1/check", "", nil, 405},
		"a preflight":      {"OPTIONS", "/v1/check", "", []string{"Origin", console, "Access-Control-Request-Method", "POST"}, 204},
		"an RPC to come":   {"DELETE", "/v1/workspaces/acme/keys/" + keyID, "", nil, 501},
	} {
		answer := send(handler, tt.method, tt.path, tt.body, tt.header...)
		if answer.Code != tt.code {
			t.Errorf("%s: %d, want %d", name, answer.Code, tt.code)
		}
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Content-Security-Policy":   "default-src 'none'; frame-ancestors 'none'",
			"Strict-Transport-Security": "",
		} {
			if got := answer.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
}

func TestMetadataOfServicesIsNoHeader(t *testing.T) {
	handler, _ := newGateway(t)
	answer := send(handler, "GET", "/v1/workspaces/acme/request-logs", "", "TE", "trailers")
	for name, value := range answer.Header() {
		if strings.HasPrefix(name, "Grpc-") || strings.Contains(name, "Trailer") {
			t.Errorf("answered %s: %q", name, value)
		}
	}
	if answer.Code != 200 {
		t.Errorf("answered %d", answer.Code)
	}
}

func TestPagesMayReadWhatAnErrorAsksFor(t *testing.T) {
	handler, _ := newGateway(t, console)
	answer := send(handler, "GET", "/v1/workspaces/acme/request-logs", "", "Origin", console)
	if got := answer.Header().Get("Access-Control-Expose-Headers"); !strings.EqualFold(got, "Retry-After, WWW-Authenticate") {
		t.Errorf("exposed are %q", got)
	}
}

func TestTLSIsToStayExceptOnLocalhost(t *testing.T) {
	for _, loopback := range []bool{true, false} {
		handler, _ := newGatewayWith(t, Config{Loopback: loopback})
		request := httptest.NewRequest("GET", "https://localhost/v1/workspaces/acme/request-logs", nil)
		request.TLS = &tls.ConnectionState{}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if got := answer.Header().Get("Strict-Transport-Security"); (got == "") != loopback {
			t.Errorf("loopback %v: %q", loopback, got)
		}
	}
}

func TestPagesMaySendTheirTokenAndNoOtherHeader(t *testing.T) {
	handler, _ := newGateway(t, console)
	for header, allowed := range map[string]bool{
		"authorization": true, "content-type": true, "authorization,content-type": true, "x-api-key": false, "cookie": false,
		"grpc-metadata-authorization": false,
	} {
		answer := send(handler, "OPTIONS", "/v1/check", "", "Origin", console,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", header)
		if got := answer.Header().Get("Access-Control-Allow-Headers"); (got != "") != allowed {
			t.Errorf("the headers %s: %q", header, got)
		}
	}
}
