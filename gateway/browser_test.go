package gateway

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/keytrail/keytrail/internal/fault"
)

func TestPagesOfOtherOriginsMayChangeNothing(t *testing.T) {
	handler, services := newGateway(t, console)
	for name, tt := range map[string]struct {
		header  []string
		allowed bool
	}{
		"no browser":                  {nil, true},
		"the gateway's own page":      {[]string{"Sec-Fetch-Site", "same-origin", "Origin", "http://example.com"}, true},
		"a configured origin":         {[]string{"Sec-Fetch-Site", "cross-site", "Origin", console}, true},
		"any other":                   {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example.com"}, false},
		"any other, an older browser": {[]string{"Origin", "https://evil.example.com"}, false},
		"a page without an origin":    {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, false},
	} {
		for _, method := range []string{"POST", "PATCH", "DELETE"} {
			path, body := "/v1/workspaces/acme/keys/"+keyID, `{"name":"n"}`
			if method == "POST" {
				path, body = "/v1/check", `{"agentType":"agent"}`
			}
			response := send(handler, method, path, body, append(tt.header, "Content-Type", "text/plain")...)
			if !tt.allowed {
				expectError(t, response, 403, fault.OriginForbidden, "--cors-origins")
			}
			if received := services.received() != nil; tt.allowed != (response.Code != 403) || received && !tt.allowed {
				t.Errorf("%s from %s: %d %s, the service received it: %v", method, name, response.Code, response.Body, received)
			}
		}
	}
}

func TestGatewayOnLoopbackRefusesOtherHosts(t *testing.T) {
	for _, loopback := range []bool{true, false} {
		handler, _ := newGatewayWith(t, Config{Loopback: loopback})
		for host, own := range map[string]bool{
			"localhost": true, "LocalHost:8080": true, "127.0.0.1": true, "127.0.0.1:80": true, "127.9.9.9:1": true, "[::1]:8080": true,
			"[::1]": true, "[::ffff:127.0.0.1]:1": true, "evil.example.com": false, "evil.example.com:8080": false, "10.0.0.1:8080": false,
			"localhost.evil.com": false, "127.0.0.1.nip.io": false, "0.0.0.0:8080": false, "": false,
		} {
			request := httptest.NewRequest("GET", "/v1/workspaces/acme/request-logs", nil)
			request.Host = host
			response := serve(handler, request)
			if want := own || !loopback; (response.Code == 200) != want {
				t.Errorf("loopback %v, a request for %q: %d %s", loopback, host, response.Code, response.Body)
			}
			if response.Code != 200 {
				expectError(t, response, 403, fault.OriginForbidden, "localhost")
			}
		}
	}
}

func TestMethodCannotBeOverridden(t *testing.T) {
	handler, services := newGateway(t)
	const form = "application/x-www-form-urlencoded"
	for name, header := range map[string][]string{
		"a form":                    {"Content-Type", form},
		"an override":               {"X-HTTP-Method-Override", "GET"},
		"an override in a form":     {"Content-Type", form, "X-HTTP-Method-Override", "GET"},
		"a deletion in a form":      {"Content-Type", form, "X-HTTP-Method-Override", "DELETE"},
		"a form with its character": {"Content-Type", form + "; charset=utf-8"},
	} {
		for _, path := range []string{"/v1/workspaces/acme/request-logs", "/v1/workspaces/acme/keys/" + keyID} {
			response := send(handler, "POST", path, "page_size=1", header...)
			expectError(t, response, 405, fault.MethodUnknown, "POST")
			if services.received() != nil {
				t.Errorf("%s posted to %s was forwarded", name, path)
			}
		}
	}
	if response := send(handler, "HEAD", "/v1/workspaces/acme/keys", ""); response.Code != 405 {
		t.Errorf("HEAD returned %d", response.Code)
	}
}

func TestOriginsAreSchemeAndHost(t *testing.T) {
	for _, origin := range []string{console, "http://localhost:3000", "http://[::1]:3000", "https://xn--bcher-kva.example"} {
		if err := ValidOrigin(origin); err != nil {
			t.Errorf("%s: %v", origin, err)
		}
	}
	for _, origin := range []string{
		"", "*", "https://*", "https://*.example.com", "null", "console.example.com", "https://", "https://a.com/", "https://a.com/x",
		"https://a.com?x", "https://a.com#x", "https://user@a.com", "HTTPS://a.com", "https://A.com", "ftp://a.com", "//a.com", " https://a.com",
	} {
		if ValidOrigin(origin) == nil {
			t.Errorf("%q is accepted as an origin", origin)
		}
		if _, err := New(t.Context(), Config{CORSOrigins: []string{origin}}); err == nil || !strings.Contains(err.Error(), "CORS") {
			t.Errorf("a gateway for %q: %v", origin, err)
		}
	}
}

// TestGatewaysCanBeCreatedConcurrently is for the race detector.
func TestGatewaysCanBeCreatedConcurrently(t *testing.T) {
	handler, _ := newGateway(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := New(t.Context(), Config{}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { send(handler, "GET", "/v1/workspaces/acme/request-logs?page_size=1", "") })
	}
	wg.Wait()
}

func TestEveryResponseHasSecurityHeaders(t *testing.T) {
	handler, _ := newGateway(t, console)
	for name, tt := range map[string]struct {
		method, path, body string
		header             []string
		code               int
	}{
		"a response":       {"POST", "/v1/check", `{"agentType":"agent"}`, nil, 200},
		"a bad request":    {"POST", "/v1/check", `{`, nil, 400},
		"a body too large": {"POST", "/v1/check", strings.Repeat(" ", maxBodyBytes+1), nil, 413},
		"another origin":   {"POST", "/v1/check", `{}`, []string{"Origin", "https://evil.example.com"}, 403},
		"no such key":      {"GET", "/v1/workspaces/globex/keys/" + keyID, "", nil, 404},
		"no such path":     {"GET", "/nothing", "", nil, 404},
		"a wrong verb":     {"PUT", "/v1/check", "", nil, 405},
		"a preflight":      {"OPTIONS", "/v1/check", "", []string{"Origin", console, "Access-Control-Request-Method", "POST"}, 204},
		"an RPC to come":   {"DELETE", "/v1/workspaces/acme/keys/" + keyID, "", nil, 501},
	} {
		response := send(handler, tt.method, tt.path, tt.body, tt.header...)
		if response.Code != tt.code {
			t.Errorf("%s: %d, want %d", name, response.Code, tt.code)
		}
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Content-Security-Policy":   "default-src 'none'; frame-ancestors 'none'",
			"Strict-Transport-Security": "",
		} {
			if got := response.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
}

func TestMetadataOfServicesIsNoHeader(t *testing.T) {
	handler, _ := newGateway(t)
	response := send(handler, "GET", "/v1/workspaces/acme/request-logs", "", "TE", "trailers")
	for name, value := range response.Header() {
		if strings.HasPrefix(name, "Grpc-") || strings.Contains(name, "Trailer") {
			t.Errorf("header %s: %q", name, value)
		}
	}
	if response.Code != 200 {
		t.Errorf("got %d", response.Code)
	}
}

func TestPagesMayReadTheHeadersOfErrorsAndFiles(t *testing.T) {
	handler, _ := newGateway(t, console)
	response := send(handler, "GET", "/v1/workspaces/acme/request-logs", "", "Origin", console)
	if got := response.Header().Get("Access-Control-Expose-Headers"); !strings.EqualFold(got, "Content-Disposition, Retry-After, WWW-Authenticate") {
		t.Errorf("exposed are %q", got)
	}
}

func TestHSTSExceptOnLoopback(t *testing.T) {
	for _, loopback := range []bool{true, false} {
		handler, _ := newGatewayWith(t, Config{Loopback: loopback})
		request := httptest.NewRequest("GET", "https://localhost/v1/workspaces/acme/request-logs", nil)
		request.TLS = &tls.ConnectionState{}
		response := serve(handler, request)
		if got := response.Header().Get("Strict-Transport-Security"); (got == "") != loopback {
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
		response := send(handler, "OPTIONS", "/v1/check", "", "Origin", console,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", header)
		if got := response.Header().Get("Access-Control-Allow-Headers"); (got != "") != allowed {
			t.Errorf("the headers %s: %q", header, got)
		}
	}
}
