package browser

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/keytrail/keytrail/internal/access"
)

// object is a JSON object as the console sees it.
type object = map[string]any

// account is a workspace of a system, with which a test makes keys and calls besides the page.
type account struct {
	t         *testing.T
	system    *system
	workspace string
}

// newAccount returns the account of a test in the shared system.
func newAccount(t *testing.T) account {
	t.Helper()
	return account{t, sharedSystem(t), workspaceOf(t)}
}

// call sends a request that must succeed, with a token of the role.
func (a account) call(role access.Role, method, path string, body object) object {
	a.t.Helper()
	status, text := a.send(a.system.token(a.t, role, a.workspace), method, path, body)
	if status != http.StatusOK {
		a.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	var response object
	if err := json.Unmarshal(text, &response); err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response
}

func (a account) send(token, method, path string, body object) (status int, response []byte) {
	a.t.Helper()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.system.origin()+path, payload)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, text
}

// key is a key with its secret.
type key struct{ id, name, secret, last4 string }

// createKey creates a key over REST. The fields of draft override the defaults: scope agent, all agents.
func (a account) createKey(name string, draft object) key {
	a.t.Helper()
	body := object{"name": name, "scopes": []string{"agent"}, "allAgents": true}
	for field, value := range draft {
		body[field] = value
	}
	response := a.call(access.Admin, "POST", "/v1/workspaces/"+a.workspace+"/keys", body)
	made := response["key"].(object)
	return key{id: made["id"].(string), name: name, secret: response["secret"].(string), last4: made["last4"].(string)}
}

func (a account) keyPath(k key) string { return "/v1/workspaces/" + a.workspace + "/keys/" + k.id }

// keyNamed returns the id of the key of a name.
func (a account) keyNamed(name string) (id string) {
	a.t.Helper()
	for _, k := range a.call(access.Viewer, "GET", "/v1/workspaces/"+a.workspace+"/keys", nil)["keys"].([]any) {
		if k.(object)["name"] == name {
			id = k.(object)["id"].(string)
		}
	}
	return id
}

// disable disables a key over REST.
func (a account) disable(k key) {
	a.t.Helper()
	a.call(access.Admin, "PATCH", a.keyPath(k), object{"disabled": true})
}

// check checks a call and returns the response. The fields of call override the defaults.
func (a account) check(secret string, call object) object {
	a.t.Helper()
	body := object{"apiKey": secret, "agentType": "agent", "agentId": "support-bot", "method": "POST",
		"endpoint": "/v1/agents/support-bot/messages", "workspaceId": a.workspace}
	for field, value := range call {
		body[field] = value
	}
	return a.call(access.Checker, "POST", "/v1/check", body)
}

// report reports how a checked call ended.
func (a account) report(check object, status int, latencyMS float64) {
	a.t.Helper()
	response := a.call(access.Checker, "POST", "/v1/report", object{"outcomes": []object{
		{"reportToken": check["reportToken"], "status": status, "latencyMs": latencyMS}}})
	if refused := response["refused"].([]any); len(refused) > 0 {
		a.t.Fatalf("report: %v", refused)
	}
}

// denialCode returns the error code of a checked call, empty if it was allowed.
func denialCode(check object) string {
	denial, _ := check["denial"].(object)
	code, _ := denial["code"].(string)
	return code
}
