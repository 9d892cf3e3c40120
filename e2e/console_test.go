package e2e

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/app"
)

// TestConsoleIsServedAndConfigured requests the console without a token.
func TestConsoleIsServedAndConfigured(t *testing.T) {
	t.Parallel()
	const issuer = "http://localhost:1" // none has to respond there
	for clientID, want := range map[string]map[string]string{
		"":        {"issuer": "", "clientId": "", "scope": ""},
		"console": {"issuer": issuer, "clientId": "console", "scope": "openid roles"},
	} {
		config := serveConfig(t.TempDir())
		config.OIDCIssuers = []string{issuer, "http://localhost:2"}
		config.ConsoleClientID, config.ConsoleScope = clientID, "openid roles"
		server, err := app.NewServer(t.Context(), config, slog.New(slog.DiscardHandler), time.Now)
		s := &system{t: t, server: runServer(t, server, err)}
		get := func(path string) (http.Header, []byte) {
			t.Helper()
			response, err := http.Get("http://" + server.GatewayAddr() + path)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d, %v", path, response.StatusCode, err)
			}
			return response.Header, body
		}
		var got map[string]string
		if _, text := get("/console/config.json"); json.Unmarshal(text, &got) != nil || !cmp.Equal(got, want) {
			t.Errorf("the configuration is %s, want %v", text, want)
		}
		header, page := get("/workspaces/acme/request-logs")
		policy := header.Get("Content-Security-Policy")
		if !strings.Contains(string(page), "<html") || strings.Contains(policy, "localhost:2") ||
			strings.Contains(policy, issuer) != (clientID != "") {
			t.Errorf("client %q: %.100q with the policy %s", clientID, page, policy)
		}
		var metrics string
		s.await(func() bool { // a request is counted after its response
			_, metrics, err = getOps(server.OpsAddr(), "/metrics")
			return err == nil && strings.Contains(metrics, `route="GET /workspaces/{workspace_id}/request-logs"`)
		}, func() any { return metrics })
		if strings.Contains(metrics, "acme") {
			t.Error("the metrics have the path of a request")
		}
	}
}
