package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/authresult"
)

// forwardedHeader is what a caller sends who forges all that proxies and Keytrail add.
func forwardedHeader(secret string) [][2]string {
	header := [][2]string{
		{"Host", callerHost}, {"User-Agent", "curl/8"}, {"Origin", "https://evil.example.com"}, {"Sec-Fetch-Site", "cross-site"},
		{"Authorization", "Basic dXNlcjpwYXNzd29yZA=="}, {"Cookie", "session=1"}, {"Content-Type", "text/plain"},
		{"Content-Length", "4"},
		{"Connection", "Upgrade, X-Keytrail-Agent-Id"}, {"Upgrade", "websocket"}, {"Range", "bytes=0-1"}, {"If-None-Match", "*"},
		{"X-Forwarded-Uri", "/v1/agents/a1"}, {"X-Forwarded-Method", "GET"}, {"X-Original-URI", "/v1/agents/a1"},
		{"X-Original-Method", "GET"}, {"X-Original-Url", "/v1/agents/a1"}, {"X-HTTP-Method-Override", "DELETE"},
		{"Grpc-Metadata-Authorization", "Bearer x"},
		{"X-Keytrail-Agent-Type", "data_agent"}, {"X-Keytrail-Agent-Id", "forged"}, {"X-Keytrail-Report-Token", "forged"},
		{"Api_Key", "sk_forged"},
	}
	for _, h := range authresult.Identity(nil) {
		header = append(header, [2]string{h.Name, "forged"})
	}
	if secret != "" {
		header = append(header, [2]string{"api-key", secret})
	}
	return header
}

// TestForwardAuthOfEveryProxy makes calls that are allowed or denied for each reason, as each proxy asks about them.
func TestForwardAuthOfEveryProxy(t *testing.T) {
	for name, message := range proxyMessages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir(), time.Now)
			token := s.token(access.Checker, "acme")
			// HTTP has no spaces around the values of headers.
			cases := slices.DeleteFunc(codeCases(s), func(c codeCase) bool { return strings.HasSuffix(c.apiKey, " ") })
			verifyRows(t, s, cases, func(c codeCase) string {
				call := proxiedCall{"POST", c.path() + "?token=hush", forwardedHeader(c.apiKey)}
				response, body := exchange(t, s.server.GatewayAddr(), message(s.server.GatewayAddr(), "?workspace_id=acme", token, call))
				verifyForwardAuth(t, c, response, body)
				if c.code == "" {
					s.reportToken(response.Header.Get("X-Keytrail-Report-Token"))
				}
				return response.Header.Get("X-Keytrail-Request-Log-Id")
			})
			if rows := s.list("acme", ""); len(rows) != len(cases) {
				t.Errorf("%d rows, want %d", len(rows), len(cases))
			}
		})
	}
}

// reportToken reports the call of a report token with the status 200 and a latency of 12.5 ms.
func (s *system) reportToken(token string) {
	s.t.Helper()
	response, err := s.checks.Report(s.t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{
		{ReportToken: token, Status: 200, LatencyMs: new(12.5)},
	}})
	if err != nil || len(response.GetRefused()) > 0 {
		s.t.Fatalf("report: %v, %v", response, err)
	}
}

// verifyForwardAuth expects the response to a call: the identity of an allowed one, and the error of a denied one.
func verifyForwardAuth(t *testing.T, c codeCase, response *http.Response, body string) {
	t.Helper()
	header := response.Header
	if response.StatusCode != c.status || header.Get("X-Keytrail-Error-Code") != c.code {
		t.Errorf("%s: got %d %v %s, want %d %q", c.name, response.StatusCode, header, body, c.status, c.code)
	}
	if challenge := header.Get("WWW-Authenticate"); (challenge != "") != (c.status == 401) {
		t.Errorf("%s: WWW-Authenticate is %q", c.name, challenge)
	}
	want := map[string]string{}
	if c.code == "" {
		want["x-keytrail-workspace-id"], want["x-keytrail-key-id"], want["x-keytrail-key-name"] = "acme", c.key.id, c.keyName
		want["x-keytrail-key-last4"] = c.key.last4
	} else {
		var parsed, inHeader struct{ Error authresult.Refusal }
		err := errors.Join(json.Unmarshal([]byte(body), &parsed), json.Unmarshal([]byte(header.Get("X-Keytrail-Error")), &inHeader))
		if got := parsed.Error; err != nil || got != inHeader.Error || got.Code != c.code || got.Message == "" || got.Fix == "" {
			t.Errorf("%s: the body is %s (%v)", c.name, body, err)
		}
	}
	for _, h := range authresult.Identity(nil) {
		got := header.Values(h.Name)
		if h.Name == authresult.RequestLogIDHeader {
			want[h.Name] = header.Get(h.Name)
		}
		if len(got) != 1 || got[0] != want[h.Name] {
			t.Errorf("%s: %s is %q, want %q", c.name, h.Name, got, want[h.Name])
		}
	}
}

// TestForwardAuthWithoutACheck sends requests of which no row may come: with mistakes of the proxy, and with paths that services
// read in different ways.
func TestForwardAuthWithoutACheck(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	gateway, secret := s.server.GatewayAddr(), s.createKey("acme", "k", nil).secret
	checker := s.token(access.Checker, "acme")
	expired, err := s.signer.Token(access.Grant{
		Role: access.Checker, Workspaces: []string{"acme"}, From: time.Now().Add(-2 * time.Hour), TTL: time.Hour,
	})
	must(t, err)
	path := func(uri string) proxiedCall { return proxiedCall{"GET", uri, [][2]string{{"api-key", secret}}} }
	forged := proxiedCall{"GET", "/v1/agents/a2", forwardedHeader(secret)}
	good := path("/v1/agents/a1")
	unavailable, unknown := authresult.Unavailable, authresult.UnknownPath
	for name, tt := range map[string]struct {
		message proxyMessage
		query   string
		token   string
		call    proxiedCall
		want    authresult.Refusal
	}{
		"no token":                 {caddyMessage, "?workspace_id=acme", "", good, unavailable},
		"an expired token":         {nginxMessage, "?workspace_id=acme", expired, good, unavailable},
		"an expired password":      {traefikMessage, "?workspace_id=acme", expired, good, unavailable},
		"a viewer's token":         {caddyMessage, "?workspace_id=acme", s.token(access.Viewer, "acme"), good, unavailable},
		"another workspace":        {nginxMessage, "?workspace_id=globex", checker, good, unavailable},
		"no workspace":             {nginxMessage, "?agent_from=path", checker, good, unavailable},
		"no query, as Caddy reads": {caddyMessage, "", checker, good, unavailable},
		"a caller's token":         {allTraefikMessage, "?workspace_id=acme", checker, forged, unavailable},
		"a forged URI at nginx":    {carelessNginxMessage, "?workspace_id=acme", checker, forged, unavailable},
		"no agent":                 {nginxMessage, "?workspace_id=acme", checker, path("/"), unknown},
		"an unknown agent type":    {caddyMessage, "?workspace_id=acme", checker, path("/v1/robots/a1"), unknown},
		"a malformed agent type":   {caddyMessage, "?workspace_id=acme", checker, path("/v1/Agents/a1"), unknown},
		"dots":                     {traefikMessage, "?workspace_id=acme", checker, path("/v1/agents/a2/%2e%2e/a1"), unknown},
		"an encoded slash":         {traefikMessage, "?workspace_id=acme", checker, path("/v1/agents/a2%2Fa1"), unknown},
		"two slashes":              {nginxMessage, "?workspace_id=acme", checker, path("/v1//agents/a1"), unknown},
		"no UTF-8":                 {nginxMessage, "?workspace_id=acme", checker, path("/v1/agents/a\xff"), unknown},
	} {
		response, body := exchange(t, gateway, tt.message(gateway, tt.query, tt.token, tt.call))
		code := response.Header.Get("X-Keytrail-Error-Code")
		if response.StatusCode != tt.want.Status || body != tt.want.Body() || code != tt.want.Code {
			t.Errorf("%s: got %d %v %s, want %+v", name, response.StatusCode, response.Header, body, tt.want)
		}
	}
	last := s.check(key{secret: secret}, &authv1.CheckRequest{WorkspaceId: "acme"}).GetRequestLogId()
	s.row("acme", last, exists)
	if rows := s.list("acme", ""); len(rows) != 1 {
		t.Errorf("%d rows besides the last one: %v", len(rows)-1, rows)
	}
}

// carelessNginxMessage is that of a configuration that passes on X-Forwarded-Method and X-Forwarded-Uri of the call.
func carelessNginxMessage(gateway, query, token string, call proxiedCall) string {
	const forged = "x-forwarded-method: GET\r\nx-forwarded-uri: /v1/agents/a1\r\n"
	return strings.Replace(nginxMessage(gateway, query, token, call), "Host:", forged+"Host:", 1)
}

// TestForwardAuthTakesTheAgentFromHeaders sends the agent as a proxy does that knows it otherwise.
func TestForwardAuthTakesTheAgentFromHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	call := proxiedCall{"PUT", "/any/../path", [][2]string{
		{"api-key", s.createKey("acme", "k", nil).secret}, {"x-keytrail-agent-type", "agent"}, {"x-keytrail-agent-id", "a/1"},
	}}
	message := nginxMessage(s.server.GatewayAddr(), "?workspace_id=acme&agent_from=headers", s.token(access.Checker, "acme"), call)
	response, body := exchange(t, s.server.GatewayAddr(), message)
	if response.StatusCode != 200 {
		t.Fatalf("got %d %s", response.StatusCode, body)
	}
	row := s.row("acme", response.Header.Get("X-Keytrail-Request-Log-Id"), exists)
	if row["agentId"] != "a/1" || row["method"] != "PUT" || row["endpoint"] != "/any/../path" || row["status"] != float64(0) {
		t.Errorf("row %v", row)
	}
}

// maxForwardAuthHeader is what docs/integrations/forward-auth.md says of the size of the response's headers.
const maxForwardAuthHeader = 6 << 10

// TestForwardAuthHeadersAreASCIIAndLimited checks a call with the longest identity, which proxies must read.
func TestForwardAuthHeadersAreASCIIAndLimited(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	metadata := object{}
	for i := range 15 {
		metadata[fmt.Sprint("key", i)] = strings.Repeat("x", 124)
	}
	draft := object{"externalId": strings.Repeat("ü", 127), "metadata": metadata}
	fits := s.createKey("acme", strings.Repeat("😀", 100), draft)
	metadata["key15"] = strings.Repeat("x", 124)
	long := s.createKey("acme", "Schlüssel 😀", draft)
	for _, tt := range []struct {
		secret, name string
		metadata     bool
	}{{fits.secret, strings.Repeat("%F0%9F%98%80", 100), true}, {long.secret, "Schl%C3%BCssel%20%F0%9F%98%80", false}} {
		uri := "/v1/agents/" + strings.Repeat("a", 300) + strings.Repeat("/x", 2000)
		call := proxiedCall{"GET", uri, [][2]string{{"api-key", tt.secret}}}
		message := caddyMessage("", "?workspace_id=acme", s.token(access.Checker, "acme"), call)
		response, body := exchange(t, s.server.GatewayAddr(), message)
		header := response.Header
		name, metadata := header.Get("X-Keytrail-Key-Name"), header.Get("X-Keytrail-Metadata")
		if response.StatusCode != 200 || name != tt.name || (metadata != "") != tt.metadata {
			t.Errorf("got %d %v %s", response.StatusCode, header, body)
		}
		var size strings.Builder
		must(t, header.Write(&size))
		if size.Len() > maxForwardAuthHeader || strings.ContainsFunc(size.String(), func(r rune) bool { return r > '~' }) {
			t.Errorf("the headers have %d bytes, or are not ASCII: %s", size.Len(), &size)
		}
		t.Logf("the headers have %d bytes", size.Len())
	}
}

// TestForwardAuthWithoutTheAuthService expects 503 from a gateway that cannot reach it.
func TestForwardAuthWithoutTheAuthService(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	config := app.GatewayConfig{GatewayAddr: anyPort, AuthAddr: stableAddr(t), LogsAddr: s.server.LogsAddr(), OpsAddr: anyPort}
	config.TokenKeys, config.AgentPaths = s.tokenKeys(), []string{"agent=/bots/{agent_id}"}
	server, err := app.NewGatewayServer(t.Context(), config, slog.New(slog.DiscardHandler))
	must(t, err)
	run(t, server)
	call := proxiedCall{"GET", "/bots/a1", [][2]string{{"api-key", "sk_1"}}}
	for name, message := range proxyMessages {
		text := message(server.GatewayAddr(), "?workspace_id=acme", s.token(access.Checker, "acme"), call)
		response, body := exchange(t, server.GatewayAddr(), text)
		if response.StatusCode != 503 || body != authresult.Unavailable.Body() {
			t.Errorf("%s: %d %s", name, response.StatusCode, body)
		}
	}
}
