package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/internal/fault"
)

// TestDefaultValuesAreWritten: no field is null; unset messages and optional fields are left out.
func TestDefaultValuesAreWritten(t *testing.T) {
	handler, _ := newGateway(t)
	for name, tt := range map[string]struct{ method, path, body, want string }{
		"a check": {"POST", "/v1/check", `{"agentType":"agent"}`, `{"allowed":false, "httpStatus":401, "requestLogId":"",
			"workspaceId":"", "keyId":"", "keyName":"", "keyLast4":"", "externalId":"", "metadata":{}, "reportToken":"",
			"denial":{"code":"missing_token", "message":"", "fix":"", "cause":""}}`},
		"a list": {"GET", "/v1/workspaces/acme/request-logs", "", `{"requestLogs":[], "nextPageToken":"", "unreadableRanges":[]}`},
		"a row without a latency": {"GET", "/v1/workspaces/acme/request-logs/" + keyID, "", `{"requestLog":{"id":"", "workspaceId":"",
			"keyId":"", "keyName":"", "keyLast4":"", "externalId":"", "agentType":"", "agentId":"", "method":"", "endpoint":"",
			"status":0, "errorCode":"", "cause":"", "callCount":0}}`},
		"a key": {"POST", "/v1/workspaces/acme/keys", `{"name":"n","scopes":["agent"],"allAgents":true}`, `{"secret":"",
			"key":{"id":"", "workspaceId":"", "name":"n", "description":"", "externalId":"", "metadata":{}, "last4":"", "scopes":[],
			"allAgents":false, "agentIds":[], "disabled":false, "secrets":[], "etag":""}}`},
		"a report": {"POST", "/v1/report", `{"outcomes":[{"reportToken":"t","status":200,"latencyMs":0}]}`, `{"refused":[]}`},
	} {
		response := send(handler, tt.method, tt.path, tt.body)
		var got, want any
		must(t, json.Unmarshal(response.Body.Bytes(), &got))
		must(t, json.Unmarshal([]byte(tt.want), &want))
		if diff := cmp.Diff(want, got); diff != "" || response.Code != 200 {
			t.Errorf("%s: %d (-want +got):\n%s", name, response.Code, diff)
		}
	}
}

func TestErrorsAreStatusesInJSON(t *testing.T) {
	handler, _ := newGateway(t)
	const key = "/keys/01890a5d-ac96-774b-bcce-b302099a8057"
	for name, tt := range map[string]struct {
		method, path, body string
		http               int
		reason             fault.Reason
		says               string
	}{
		"a broken rule":           {"POST", "/v1/workspaces/acme/keys", `{"name":"a\u0007","allAgents":true}`, 400, fault.FieldInvalid, "key.name: "},
		"a workspace in the path": {"GET", "/v1/workspaces/Not.An.Id/keys/x", "", 400, fault.FieldInvalid, "workspace_id: "},
		"what is not there":       {"GET", "/v1/workspaces/globex" + key, "", 404, fault.KeyNotFound, "key not found"},
		"a path that is not":      {"GET", "/v2/check", "", 404, fault.RouteNotFound, "no such path"},
		"a path that is none":     {"OPTIONS", "*", "", 400, fault.RequestMalformed, "path"},
		"a path not in UTF-8":     {"GET", "/v1/workspaces/%FF/keys", "", 400, fault.RequestMalformed, "workspace_id: must be UTF-8"},
		"a name not in UTF-8":     {"GET", "/v1/workspaces/acme/keys?%FF=1", "", 400, fault.RequestMalformed, "unknown query parameter"},
		"a method that is not":    {"DELETE", "/v1/check", "", 405, fault.MethodUnknown, "DELETE"},
		"an HTTP method unheard":  {"BREW", "/v1/check", "", 405, fault.MethodUnknown, "BREW"},
		"an RPC to come":          {"DELETE", "/v1/workspaces/acme" + key, "", 501, fault.MethodUnknown, "of a release"},
		"a body cut short":        {"POST", "/v1/check", `{"agentType":`, 400, fault.RequestMalformed, ""},
		"a body that is no JSON":  {"POST", "/v1/check", "agent_type=agent", 400, fault.RequestMalformed, ""},
		"two bodies":              {"POST", "/v1/check", `{"agentType":"agent"}{"agentType":"agent"}`, 400, fault.RequestMalformed, "nothing after it"},
		"text after a body":       {"POST", "/v1/check", `{"agentType":"agent"} x`, 400, fault.RequestMalformed, "nothing after it"},
		"text after a report":     {"POST", "/v1/report", `{"outcomes":[]}]`, 400, fault.RequestMalformed, "nothing after it"},
		"text after an update":    {"PATCH", "/v1/workspaces/acme" + key, `{"name":"n"},`, 400, fault.RequestMalformed, "nothing after it"},
		"a body not in UTF-8":     {"POST", "/v1/check", "{\"agentType\":\"agent\",\"agentId\":\"\xff\"}", 400, fault.RequestMalformed, "UTF-8"},
		"a query not in UTF-8":    {"GET", "/v1/workspaces/acme/request-logs?endpoint=%FF", "", 400, fault.RequestMalformed, "endpoint: must be UTF-8"},
		"an unknown parameter":    {"GET", "/v1/workspaces/acme/request-logs?endpiont=x", "", 400, fault.RequestMalformed, "endpiont"},
	} {
		t.Run(name, func(t *testing.T) {
			expectError(t, send(handler, tt.method, tt.path, tt.body), tt.http, tt.reason, tt.says)
		})
	}
}

func TestBrokenRulesAreDetailedInJSON(t *testing.T) {
	handler, _ := newGateway(t)
	response := send(handler, "GET", "/v1/workspaces/acme/request-logs?page_size=-1&status_class=3xx", "")
	var status struct {
		Details []struct {
			Type            string `json:"@type"`
			FieldViolations []struct{ Field, Description string }
		}
	}
	must(t, json.Unmarshal(response.Body.Bytes(), &status))
	if len(status.Details) != 2 || status.Details[1].Type != "type.googleapis.com/google.rpc.BadRequest" {
		t.Fatalf("the details of %s have no BadRequest", response.Body)
	}
	var fields []string
	for _, v := range status.Details[1].FieldViolations {
		if fields = append(fields, v.Field); v.Description == "" {
			t.Errorf("no reason for %s", v.Field)
		}
	}
	if diff := cmp.Diff([]string{"status_class", "page_size"}, fields); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

const console = "https://console.example.com"

func TestNoPageOfAnotherOriginMayCallUnlessConfigured(t *testing.T) {
	handler, _ := newGateway(t)
	for _, method := range []string{"GET", "OPTIONS"} {
		response := send(handler, method, "/v1/workspaces/acme/request-logs", "",
			"Origin", console, "Access-Control-Request-Method", "GET")
		for name := range response.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s returned %s: %s", method, name, response.Header().Get(name))
			}
		}
	}
}

func TestPagesOfConfiguredOriginsMayCall(t *testing.T) {
	handler, _ := newGateway(t, console)
	const path = "/v1/workspaces/acme/request-logs"
	for origin, want := range map[string]string{console: console, "https://evil.example.com": "", "https://console.example.com.evil.com": "", "null": ""} {
		response := send(handler, "GET", path, "", "Origin", origin)
		if got := response.Header().Get("Access-Control-Allow-Origin"); got != want || response.Code != 200 {
			t.Errorf("a page of %s gets %d and may be read by %q, want %q", origin, response.Code, got, want)
		}
		if response.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("a page of %s may send cookies", origin)
		}
		for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
			response := send(handler, "OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", method,
				"Access-Control-Request-Headers", "authorization,content-type")
			if got := response.Header().Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("a page of %s may %s as %q, want %q", origin, method, got, want)
			}
		}
	}
}
