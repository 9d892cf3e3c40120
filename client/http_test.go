package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/keytrail/keytrail/client"
	"github.com/keytrail/keytrail/client/keytrailtest"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// serveHTTP serves a handler behind the middleware of a client.
func serveHTTP(t *testing.T, kt *client.Client, handler http.HandlerFunc) (url string) {
	t.Helper()
	server := httptest.NewServer(kt.HTTPMiddleware(handler))
	t.Cleanup(server.Close)
	return server.URL
}

// get sends a request with an API key, and returns what the caller got.
func get(t *testing.T, ctx context.Context, url, secret string) *http.Response {
	t.Helper()
	response := getBy(t, ctx, http.DefaultClient, url, secret)
	if response == nil {
		t.Fatalf("%s: no response", url)
	}
	return response
}

// getBy sends a request with an API key. It returns what the caller got; nil for no response.
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
		Name: "CI", Scopes: []string{"voice_agent"}, AllAgents: true,
		ExternalId: "customer 7", Metadata: map[string]string{"plan": "gold"},
	})
	kt := keytrail.Client(client.WithWorkspace("acme"))
	var identity client.Identity
	var took time.Duration
	url := serveHTTP(t, kt, func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		identity, _ = client.IdentityFromContext(r.Context())
		w.WriteHeader(http.StatusCreated)
		took = time.Since(began)
	})
	began := time.Now()
	if response := get(t, t.Context(), url+"/v1/voice_agents/a1/calls?token=t", secret); response.StatusCode != http.StatusCreated {
		t.Fatalf("status %d", response.StatusCode)
	}
	waited := time.Since(began)
	got := row(t, keytrail.AwaitRequestLogs("acme", 1), "/v1/voice_agents/a1/calls")
	want := client.Identity{
		WorkspaceID: "acme", KeyID: got.GetKeyId(), KeyName: "CI", KeyLast4: secret[len(secret)-4:], ExternalID: "customer 7",
		Metadata: map[string]string{"plan": "gold"}, RequestLogID: got.GetId(),
	}
	if !reflect.DeepEqual(identity, want) {
		t.Errorf("the handler has the identity %+v, want %+v", identity, want)
	}
	if got.GetStatus() != 201 || got.GetMethod() != "GET" || got.GetAgentType() != "voice_agent" || got.GetAgentId() != "a1" {
		t.Errorf("row %v", got)
	}
	latency := time.Duration(got.GetLatencyMs() * float64(time.Millisecond))
	if latency < took.Truncate(time.Microsecond) || latency > waited {
		t.Errorf("latency %v, of a handler that took %v for a caller who waited %v", latency, took, waited)
	}
	if stats := kt.Stats(); stats.Allowed != 1 || stats.ReportsSent != 1 || stats.ReportsPending != 0 {
		t.Errorf("stats %+v", stats)
	}
}

func TestWriterKeepsTheMethodsOfNetHTTP(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	url := serveHTTP(t, keytrail.Client(), func(w http.ResponseWriter, _ *http.Request) {
		for name, ok := range map[string]bool{
			"Flusher": is[http.Flusher](w), "Hijacker": is[http.Hijacker](w), "ReaderFrom": is[io.ReaderFrom](w),
			"StringWriter": is[io.StringWriter](w), "CloseNotifier": is[interface{ CloseNotify() <-chan bool }](w),
		} {
			if !ok {
				t.Errorf("the writer is no %s", name)
			}
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
	})
	response := get(t, t.Context(), url+"/v1/agents/a1", keytrail.CreateKey("acme", nil))
	if response.StatusCode != http.StatusOK {
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
	url := serveHTTP(t, keytrail.Client(client.WithWorkspace("acme")), http.NotFound)
	key := func(change func(*authv1.Key)) string {
		k := &authv1.Key{Name: "k", Scopes: []string{"agent"}, AllAgents: true}
		change(k)
		return keytrail.CreateKey("acme", k)
	}
	rotated, err := keytrail.Keys.CreateKey(t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "acme", Key: &authv1.Key{Name: "k", Scopes: []string{"agent"}, AllAgents: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keytrail.Keys.RotateKey(t.Context(), &authv1.RotateKeyRequest{
		WorkspaceId: "acme", KeyId: rotated.GetKey().GetId(), GracePeriod: durationpb.New(0),
	}); err != nil {
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
		challenge := response.Header.Get("WWW-Authenticate")
		if (challenge == `ApiKey realm="api", header="api-key"`) != (d.status == 401) {
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
	url, secret := serveHTTP(t, kt, http.NotFound), keytrail.CreateKey("acme", nil)
	paths := []string{"/", "/v1/agents", "/v1/robots/r1", "/v1/agents/a1%2f..", "/v1/AGENTs/a1"}
	for _, path := range paths {
		response := get(t, t.Context(), url+path, secret)
		body, err := io.ReadAll(response.Body)
		if response.StatusCode != 403 || !strings.Contains(string(body), `"unknown_path"`) || err != nil {
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
	byHeader := client.WithHTTPAgent(func(*http.Request) client.Agent {
		return client.Agent{WorkspaceID: "acme", Type: "data_agent", ID: "f1"}
	})
	byTemplate := client.WithAgentPaths("data_agent=/{workspace_id}/bots/{agent_id}")
	options := func(o ...client.Option) []client.Option { return o }
	withKey := http.Header{"Api-Key": {secret}}
	bearer := "Bearer " + secret
	for name, tt := range map[string]struct {
		options []client.Option
		header  http.Header
		path    string
		code    string
	}{
		"bearer":                  {nil, http.Header{"Authorization": {bearer}}, "/v1/agents/a1", ""},
		"bearer of another kind":  {nil, http.Header{"Authorization": {"Bearer eyJ"}}, "/v1/agents/a1", "missing_token"},
		"two bearers":             {nil, http.Header{"Authorization": {bearer, "Bearer sk_x"}}, "/v1/agents/a1", "invalid_token"},
		"api-key before bearer":   {nil, http.Header{"Api-Key": {secret}, "Authorization": {"Bearer sk_x"}}, "/v1/agents/a1", ""},
		"two keys":                {nil, http.Header{"Api-Key": {secret, "sk_x"}}, "/v1/agents/a1", "invalid_token"},
		"own header":              {options(client.WithAPIKeyHeaders("X-Key")), http.Header{"X-Key": {secret}}, "/v1/agents/a1", ""},
		"own header only":         {options(client.WithAPIKeyHeaders("X-Key")), withKey, "/v1/agents/a1", "missing_token"},
		"function":                {options(byHeader), withKey, "/any/function", ""},
		"workspace of a function": {options(byHeader, client.WithWorkspace("other")), withKey, "/any", ""},
		"template":                {options(byTemplate), withKey, "/acme/bots/a1", ""},
		"workspace of the path":   {options(byTemplate, client.WithWorkspace("acme")), withKey, "/acme/bots/a1", ""},
		"another of the path":     {options(byTemplate, client.WithWorkspace("other")), withKey, "/acme/bots/a1", "unknown_path"},
		"workspace of the client": {options(client.WithWorkspace("other")), withKey, "/v1/agents/a1", "agent_denied"},
	} {
		url := serveHTTP(t, keytrail.Client(tt.options...), func(http.ResponseWriter, *http.Request) {})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = tt.header
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || (response.StatusCode == 200) != (tt.code == "") || !strings.Contains(string(body), tt.code) {
			t.Errorf("%s: %d %s, want the code %q; %v", name, response.StatusCode, body, tt.code, err)
		}
		challenge := response.Header.Get("WWW-Authenticate")
		if name == "own header only" && !strings.Contains(challenge, `header="x-key"`) {
			t.Errorf("the challenge is %q", challenge)
		}
	}
	got := row(t, keytrail.AwaitRequestLogs("acme", 7), "/any/function")
	if got.GetAgentId() != "f1" || got.GetAgentType() != "data_agent" {
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
