package gateway

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytrail/keytrail/internal/throttle"
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
		"a body too large": {"POST", "/v1/check", strings.Repeat(" ", maxBody+1), nil, 400},
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

func TestAnAddressThatFailsTooOftenIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		behind := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked++; r.Header.Get("Authorization") == "Bearer good" {
				return // 200, as of every handler that writes nothing
			}
			w.WriteHeader(http.StatusUnauthorized)
		})
		handler := throttle.New().HTTP(answering200(behind), answerTooMany)
		from := func(addr, token string) *httptest.ResponseRecorder {
			request := httptest.NewRequest("GET", "/", nil)
			request.RemoteAddr = addr
			request.Header.Set("Authorization", token)
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			return answer
		}
		const here, there = "192.0.2.1:1000", "192.0.2.2:1000"
		from(there, "Bearer good")
		for i := range throttle.Burst {
			if answer := from(here, "Bearer bad"); answer.Code != 401 {
				t.Fatalf("failure %d: %d", i, answer.Code)
			}
		}
		before := asked
		answer := from("192.0.2.1:2000", "Bearer other")
		expectError(t, answer, 429, 8, throttle.Reason)
		if answer.Header().Get("Retry-After") != "1" || asked != before {
			t.Errorf("come back after %q; asked %d times more", answer.Header().Get("Retry-After"), asked-before)
		}
		for name, got := range map[string]int{
			"a good token":  from(here, "Bearer good").Code - 200,
			"another place": from(there, "Bearer bad").Code - 401,
		} {
			if got != 0 {
				t.Errorf("%s is refused", name)
			}
		}
		<-time.After(time.Second)
		if answer := from(here, "Bearer bad"); answer.Code != 401 {
			t.Errorf("after its wait: %d", answer.Code)
		}
	})
}

// answering200 writes the status where the handler writes nothing, as net/http does.
func answering200(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		_, _ = w.Write([]byte("{}"))
	})
}

func TestTheGatewayLimitsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, _ := newGateway(t)
		for i := range throttle.Burst {
			if answer := send(handler, "GET", "/v1/workspaces/initech/keys/"+keyID, ""); answer.Code != 401 {
				t.Fatalf("failure %d: %d %s", i, answer.Code, answer.Body)
			}
		}
		answer := send(handler, "GET", "/v1/workspaces/initech/keys/"+keyID, "")
		if answer.Code != 429 || answer.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("after too many failures: %d with the headers %v", answer.Code, answer.Header())
		}
	})
}
