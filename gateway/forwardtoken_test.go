package gateway

import (
	"crypto/tls"
	"encoding/base64"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/authresult"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestForwardAuthNeedsACheckersToken expects a wrong token to look like an outage to callers, who can do nothing about it.
func TestForwardAuthNeedsACheckersToken(t *testing.T) {
	signer := accesstest.NewSigner(t)
	token := func(role access.Role, workspaces ...string) string {
		return strings.TrimPrefix(accesstest.Bearer(t, signer, role, workspaces...), "Bearer ")
	}
	viewer, admin := token(access.Viewer, access.AllWorkspaces), token(access.Admin, access.AllWorkspaces)
	acme, globex := token(access.Checker, "acme"), token(access.Checker, "globex")
	checker := token(access.Checker, access.AllWorkspaces)
	for name, tt := range map[string]struct {
		query         string
		authorization []string
		says          string // empty if the call is checked
	}{
		"a bearer token":            {"?agent_from=path", []string{"Bearer " + checker}, ""},
		"one in lower case":         {"?agent_from=path", []string{"bearer " + checker}, ""},
		"a password":                {"?agent_from=path", []string{basic("keytrail", checker)}, ""},
		"without a user":            {"?agent_from=path", []string{basic("", checker)}, ""},
		"of the workspace":          {"?workspace_id=acme", []string{"Bearer " + acme}, ""},
		"none":                      {"?agent_from=path", []string{}, "TOKEN_MISSING"},
		"empty":                     {"?agent_from=path", []string{""}, "TOKEN_INVALID"},
		"a caller's own as well":    {"?agent_from=path", []string{"Bearer " + checker, basic("user", "password")}, "TOKEN_INVALID"},
		"a caller's own before":     {"?agent_from=path", []string{basic("user", "password"), "Bearer " + checker}, "TOKEN_INVALID"},
		"two passwords":             {"?agent_from=path", []string{basic("", checker), basic("", checker)}, "TOKEN_INVALID"},
		"a user":                    {"?agent_from=path", []string{basic(checker, "")}, "TOKEN_INVALID"},
		"no base64":                 {"?agent_from=path", []string{"Basic " + checker}, "TOKEN_INVALID"},
		"a viewer's":                {"?agent_from=path", []string{"Bearer " + viewer}, "ROLE_MISSING"},
		"an admin's":                {"?agent_from=path", []string{basic("", admin)}, "ROLE_MISSING"},
		"of another workspace":      {"?workspace_id=acme", []string{"Bearer " + globex}, "WORKSPACE_FORBIDDEN"},
		"of one, without workspace": {"?agent_from=path", []string{"Bearer " + acme}, "WORKSPACE_FORBIDDEN"},
	} {
		p := newProxiedOf(t, Config{}, signer)
		request := httptest.NewRequest("GET", forwardAuthPath+tt.query, nil)
		for i := 0; i+1 < len(call); i += 2 {
			request.Header.Set(call[i], call[i+1])
		}
		request.Header["Authorization"] = tt.authorization
		response := serve(p, request)
		checked := p.service.received() != nil
		if tt.says == "" {
			if response.Code != 200 || !checked {
				t.Errorf("%s: %d, logged %s", name, response.Code, p.log)
			}
			continue
		}
		expectRefusal(t, name, response, authresult.Unavailable)
		if log := p.log.String(); checked || strings.Count(log, "reason="+tt.says) != 1 || strings.Contains(log, checker[:20]) {
			t.Errorf("%s: checked %v, logged %s, want %s once", name, checked, log, tt.says)
		}
	}
}

// TestForwardAuthTakesTheHeadersOfACall sends what browsers send and proxies pass on, which is not about the gateway.
func TestForwardAuthTakesTheHeadersOfACall(t *testing.T) {
	p := newProxied(t, Config{Loopback: true, CORSOrigins: []string{console}})
	request := httptest.NewRequest("GET", forwardAuthPath+"?agent_from=path", nil)
	request.Host = "api.example.com"
	request.TLS = &tls.ConnectionState{}
	for i := 0; i+1 < len(call); i += 2 {
		request.Header.Set(call[i], call[i+1])
	}
	request.Header.Set("Authorization", accesstest.Bearer(t, p.signer, access.Checker, access.AllWorkspaces))
	for name, value := range map[string]string{
		"Origin": console, "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain", "Content-Length": "5", "Range": "bytes=0-1",
		"Access-Control-Request-Method": "POST", "If-None-Match": "*", "X-HTTP-Method-Override": "DELETE", "Grpc-Timeout": "1n",
		"Grpc-Metadata-Authorization": "Bearer x", "Expect": "100-continue", "Upgrade": "websocket", "Connection": "Upgrade",
	} {
		request.Header.Set(name, value)
	}
	response := serve(p, request)
	if response.Code != 200 || p.service.received() == nil {
		t.Errorf("%d %s, logged %s", response.Code, response.Body, p.log)
	}
	for name := range response.Header() {
		if !strings.HasPrefix(name, "X-Keytrail-") && name != "Cache-Control" && name != "X-Content-Type-Options" {
			t.Errorf("the response has the header %s, which Caddy and Traefik pass on to callers", name)
		}
	}
}
