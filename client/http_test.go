package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/keytrail/keytrail/client"
	"github.com/keytrail/keytrail/client/keytrailtest"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// serveHTTP serves the handlers of paths behind the middleware of a client.
func serveHTTP(t *testing.T, kt *client.Client, handlers map[string]http.HandlerFunc) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	for path, handler := range handlers {
		mux.HandleFunc(path, handler)
	}
	server := httptest.NewUnstartedServer(kt.HTTPMiddleware(mux))
	server.Config.ErrorLog = discard // of handlers that panic
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// get sends a request with an API key. It returns what the caller got; nil for no response.
func get(t *testing.T, ctx context.Context, url, secret string) *http.Response {
	t.Helper()
	return getBy(t, ctx, http.DefaultClient, url, secret)
}

func getBy(t *testing.T, ctx context.Context, by *http.Client, url, secret string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		request.Header.Set("api-key", secret)
	}
	response, err := by.Do(request)
	if err != nil {
		return nil
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// row returns the row of an endpoint.
func row(t *testing.T, rows []*logsv1.RequestLog, endpoint string) *logsv1.RequestLog {
	t.Helper()
	var found *logsv1.RequestLog
	for _, r := range rows {
		if r.GetEndpoint() == endpoint {
			if found != nil {
				t.Errorf("%s has two rows", endpoint)
			}
			found = r
		}
	}
	if found == nil {
		t.Fatalf("%s has no row", endpoint)
	}
	return found
}

func TestHandlerGetsTheIdentityAndItsCallIsRecorded(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	secret := keytrail.CreateKey("acme", &authv1.Key{
		Name: "CI", Scopes: []string{"voice_agent"}, AllAgents: true, ExternalId: "customer 7", Metadata: map[string]string{"plan": "gold"},
	})
	kt := keytrail.Client(client.WithWorkspace("acme"))
	var identity client.Identity
	var took time.Duration
	url := serveHTTP(t, kt, map[string]http.HandlerFunc{"/v1/voice_agents/a1/calls": func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		identity, _ = client.FromContext(r.Context())
		w.WriteHeader(http.StatusCreated)
		took = time.Since(began)
	}})
	began := time.Now()
	if response := get(t, t.Context(), url+"/v1/voice_agents/a1/calls?token=t", secret); response.StatusCode != http.StatusCreated {
		t.Fatalf("status %d", response.StatusCode)
	}
	waited := time.Since(began)
	got := keytrail.AwaitRequestLogs("acme", 1)[0]
	if identity.WorkspaceID != "acme" || identity.KeyName != "CI" || identity.KeyID != got.GetKeyId() || identity.KeyLast4 != secret[len(secret)-4:] ||
		identity.ExternalID != "customer 7" || identity.Metadata["plan"] != "gold" || identity.RequestLogID != got.GetId() {
		t.Errorf("the handler has the identity %+v", identity)
	}
	if got.GetStatus() != 201 || got.GetMethod() != "GET" || got.GetEndpoint() != "/v1/voice_agents/a1/calls" || got.GetAgentType() != "voice_agent" || got.GetAgentId() != "a1" {
		t.Errorf("row %v", got)
	}
	if latency := time.Duration(got.GetLatencyMs() * float64(time.Millisecond)); latency < took.Truncate(time.Microsecond) || latency > waited {
		t.Errorf("latency %v, of a handler that took %v for a caller who waited %v", latency, took, waited)
	}
	if stats := kt.Stats(); stats.Allowed != 1 || stats.ReportsSent != 1 || stats.ReportsPending != 0 {
		t.Errorf("stats %+v", stats)
	}
}

func TestWriterKeepsTheMethodsOfNetHTTP(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	url := serveHTTP(t, keytrail.Client(), map[string]http.HandlerFunc{"/v1/agents/a1": func(w http.ResponseWriter, _ *http.Request) {
		for name, ok := range map[string]bool{
			"Flusher": is[http.Flusher](w), "Hijacker": is[http.Hijacker](w), "ReaderFrom": is[io.ReaderFrom](w), "StringWriter": is[io.StringWriter](w),
			"CloseNotifier": is[interface{ CloseNotify() <-chan bool }](w),
		} {
			if !ok {
				t.Errorf("the writer is no %s", name)
			}
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
	}})
	if response := get(t, t.Context(), url+"/v1/agents/a1", keytrail.CreateKey("acme", nil)); response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
}

func is[T any](value any) bool {
	_, ok := value.(T)
	return ok
}

// TestDeniedCallsSayWhy has all six error codes.
func TestDeniedCallsSayWhy(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	url := serveHTTP(t, keytrail.Client(client.WithWorkspace("acme")), nil)
	key := func(change func(*authv1.Key)) string {
		k := &authv1.Key{Name: "k", Scopes: []string{"agent"}, AllAgents: true}
		change(k)
		return keytrail.CreateKey("acme", k)
	}
	rotated, err := keytrail.Keys.CreateKey(t.Context(), &authv1.CreateKeyRequest{WorkspaceId: "acme", Key: &authv1.Key{Name: "k", Scopes: []string{"agent"}, AllAgents: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keytrail.Keys.RotateKey(t.Context(), &authv1.RotateKeyRequest{WorkspaceId: "acme", KeyId: rotated.GetKey().GetId(), GracePeriod: durationpb.New(0)}); err != nil {
		t.Fatal(err)
	}
	denials := []struct {
		code, secret string
		status       int32
	}{
		{"missing_token", "", 401},
		{"invalid_token", "sk_\xff", 401},
		{"disabled", key(func(k *authv1.Key) { k.Disabled = true }), 401},
		{"expired", rotated.GetSecret(), 401},
		{"scope_denied", key(func(k *authv1.Key) { k.Scopes = []string{"data_agent"} }), 403},
		{"agent_denied", key(func(k *authv1.Key) { k.AllAgents, k.AgentIds = false, []string{"a1"} }), 403},
	}
	for _, d := range denials {
		response := get(t, t.Context(), url+"/v1/agents/"+d.code, d.secret)
		var body struct {
			Error struct{ Code, Message, Fix string }
		}
		if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		if body.Error.Code != d.code || body.Error.Message == "" || body.Error.Fix == "" || response.StatusCode != int(d.status) {
			t.Errorf("%s: %d %+v", d.code, response.StatusCode, body)
		}
		if challenge := response.Header.Get("WWW-Authenticate"); (challenge == `ApiKey realm="api", header="api-key"`) != (d.status == 401) {
			t.Errorf("%s: WWW-Authenticate %q", d.code, challenge)
		}
	}
	rows := keytrail.AwaitRequestLogs("acme", len(denials))
	for _, d := range denials {
		if got := row(t, rows, "/v1/agents/"+d.code); got.GetErrorCode() != d.code || got.GetStatus() != d.status {
			t.Errorf("%s: row %v", d.code, got)
		}
	}
}

func TestCallsOnNoKnownAgentAreRefusedWithoutARow(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	kt := keytrail.Client()
	url, secret := serveHTTP(t, kt, nil), keytrail.CreateKey("acme", nil)
	paths := []string{"/", "/v1/agents", "/v1/robots/r1", "/v1/agents/a1%2f..", "/v1/AGENTs/a1"}
	for _, path := range paths {
		response := get(t, t.Context(), url+path, secret)
		if body, err := io.ReadAll(response.Body); response.StatusCode != 403 || !strings.Contains(string(body), `"unknown_path"`) || err != nil {
			t.Errorf("%s: %d %s %v", path, response.StatusCode, body, err)
		}
	}
	if stats := kt.Stats(); stats.UnknownPath != int64(len(paths)) || stats.Refused+stats.Denied != 0 {
		t.Errorf("stats %+v", stats)
	}
}

func TestOptionsSayWhereTheKeyAndTheAgentAre(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	secret := keytrail.CreateKey("acme", nil)
	byHeader := client.WithHTTPCall(func(r *http.Request) client.Call {
		return client.Call{WorkspaceID: "acme", AgentType: "data_agent", AgentID: r.Header.Get("agent")}
	})
	for name, tt := range map[string]struct {
		options []client.Option
		header  http.Header
		path    string
		status  int
	}{
		"bearer":                  {nil, http.Header{"Authorization": {"Bearer " + secret}}, "/v1/agents/bearer", 200},
		"bearer-of-another-kind":  {nil, http.Header{"Authorization": {"Bearer eyJ"}}, "/v1/agents/bearer-of-another-kind", 401},
		"api-key-before-bearer":   {nil, http.Header{"Api-Key": {secret}, "Authorization": {"Bearer sk_x"}}, "/v1/agents/api-key-before-bearer", 200},
		"own-header":              {[]client.Option{client.WithAPIKeyHeaders("X-Key")}, http.Header{"X-Key": {secret}}, "/v1/agents/own-header", 200},
		"own-header-only":         {[]client.Option{client.WithAPIKeyHeaders("X-Key")}, http.Header{"Api-Key": {secret}}, "/v1/agents/own-header-only", 401},
		"function":                {[]client.Option{byHeader}, http.Header{"Api-Key": {secret}, "Agent": {"function"}}, "/any/function", 200},
		"template":                {[]client.Option{client.WithAgentPaths("data_agent=/{workspace_id}/bots/{agent_id}")}, http.Header{"Api-Key": {secret}}, "/acme/bots/template", 200},
		"workspace-of-the-path":   {[]client.Option{client.WithAgentPaths("agent=/{workspace_id}/bots/{agent_id}"), client.WithWorkspace("acme")}, http.Header{"Api-Key": {secret}}, "/other/bots/workspace-of-the-path", 403},
		"workspace-of-the-client": {[]client.Option{client.WithWorkspace("other")}, http.Header{"Api-Key": {secret}}, "/v1/agents/workspace-of-the-client", 403},
	} {
		url := serveHTTP(t, keytrail.Client(tt.options...), map[string]http.HandlerFunc{"/": func(http.ResponseWriter, *http.Request) {}})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = tt.header
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != tt.status {
			t.Errorf("%s: status %d, want %d", name, response.StatusCode, tt.status)
		}
		if challenge := response.Header.Get("WWW-Authenticate"); name == "own-header-only" && !strings.Contains(challenge, `header="x-key"`) {
			t.Errorf("the challenge is %q", challenge)
		}
	}
	if got := row(t, keytrail.AwaitRequestLogs("acme", 5), "/any/function"); got.GetAgentId() != "function" || got.GetAgentType() != "data_agent" {
		t.Errorf("row %v", got)
	}
}

// TestEndpointIsWhatTheCallerSent: the router behind may see another path.
func TestEndpointIsWhatTheCallerSent(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(http.StripPrefix("/api", keytrail.Client().HTTPMiddleware(ok)))
	t.Cleanup(server.Close)
	conn := dialTCP(t, server.Listener.Addr().String())
	fmt.Fprintf(conn, "GET /api/v1/agents/a1/\xff?x HTTP/1.1\r\nHost: x\r\napi-key: %s\r\n\r\n", keytrail.CreateKey("acme", nil))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusForbidden { // a path that is not UTF-8 matches no template
		t.Errorf("%v %v", response, err)
	}
	get(t, t.Context(), server.URL+"/api/v1/agents/a1/%C3%BC", keytrail.CreateKey("acme", nil))
	row(t, keytrail.AwaitRequestLogs("acme", 1), "/api/v1/agents/a1/%C3%BC")
}
