package gateway

import (
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
			answer := send(handler, method, path, body, append(tt.header, "Content-Type", "text/plain")...)
			if !tt.allowed {
				expectError(t, answer, 403, fault.OriginForbidden, "--cors-origins")
			}
			if took := services.took() != nil; tt.allowed != (answer.Code != 403) || took && !tt.allowed {
				t.Errorf("%s from %s: %d %s, the service took it: %v", method, name, answer.Code, answer.Body, took)
			}
		}
	}
}

func TestGatewayOfThisMachineTakesRequestsForItAlone(t *testing.T) {
	for _, loopback := range []bool{true, false} {
		handler, _ := newGatewayWith(t, Config{Loopback: loopback})
		for host, own := range map[string]bool{
			"localhost": true, "LocalHost:8080": true, "127.0.0.1": true, "127.0.0.1:80": true, "127.9.9.9:1": true, "[::1]:8080": true,
			"[::1]": true, "[::ffff:127.0.0.1]:1": true, "evil.example.com": false, "evil.example.com:8080": false, "10.0.0.1:8080": false,
			"localhost.evil.com": false, "127.0.0.1.nip.io": false, "0.0.0.0:8080": false, "": false,
		} {
			request := httptest.NewRequest("GET", "/v1/workspaces/acme/request-logs", nil)
			request.Host = host
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if want := own || !loopback; (answer.Code == 200) != want {
				t.Errorf("loopback %v, a request for %q: %d %s", loopback, host, answer.Code, answer.Body)
			}
			if answer.Code != 200 {
				expectError(t, answer, 403, fault.OriginForbidden, "localhost")
			}
		}
	}
}

func TestVerbMeansWhatItSays(t *testing.T) {
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
			answer := send(handler, "POST", path, "page_size=1", header...)
			expectError(t, answer, 405, fault.MethodUnknown, "POST")
			if services.took() != nil {
				t.Errorf("%s posted to %s came through", name, path)
			}
		}
	}
	if answer := send(handler, "HEAD", "/v1/workspaces/acme/keys", ""); answer.Code != 405 {
		t.Errorf("HEAD answers %d", answer.Code)
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
			t.Errorf("%q is taken for an origin", origin)
		}
		if _, err := New(t.Context(), Config{CORSOrigins: []string{origin}}); err == nil || !strings.Contains(err.Error(), "CORS") {
			t.Errorf("a gateway for %q: %v", origin, err)
		}
	}
}

// TestGatewaysCanBeMadeBesideEachOther is for the race detector.
func TestGatewaysCanBeMadeBesideEachOther(t *testing.T) {
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
