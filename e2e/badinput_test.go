package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

func TestBadInputOverRESTNamesTheFieldAndTheReason(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	for range 3 {
		s.record("acme", time.Now())
	}
	token := s.ok("GET", "/v1/workspaces/acme/request-logs?page_size=1", nil)["nextPageToken"].(string)
	k := s.createKey("acme", "k", nil)
	const keys, logs = "/v1/workspaces/acme/keys", "/v1/workspaces/acme/request-logs"
	for _, c := range []struct {
		name, method, path string
		body               any
		status             int
		says               []string
	}{
		{"unknown scope", "POST", keys, object{"name": "n", "scopes": []string{"pilot"}, "allAgents": true}, 400, []string{"scopes[0]", "pilot", "voice_agent"}},
		{"empty name", "POST", keys, object{"name": "", "scopes": []string{"agent"}, "allAgents": true}, 400, []string{"key.name", "empty or blank"}},
		{"blank name", "POST", keys, object{"name": " ", "scopes": []string{"agent"}, "allAgents": true}, 400, []string{"name", "blank"}},
		{"no agents", "POST", keys, object{"name": "n", "scopes": []string{"agent"}}, 400, []string{"agent_ids", "all_agents"}},
		{"misspelt field", "POST", keys, object{"name": "n", "expires": "x"}, 400, []string{"expires", "unknown"}},
		{"past expiry", "POST", keys, object{"name": "n", "scopes": []string{"agent"}, "allAgents": true, "expireTime": "2020-01-01T00:00:00Z"}, 400, []string{"expire_time", "future"}},
		{"not JSON", "POST", keys, "{", 400, []string{"unexpected"}},
		{"10 MB body", "POST", "/v1/check", `{"endpoint":"` + strings.Repeat("x", 10<<20) + `"}`, 413, []string{"4194304"}},
		{"invalid UTF-8 in a body", "POST", keys, "{\"name\":\"\xff\"}", 400, []string{"invalid UTF-8"}},
		{"invalid UTF-8 in a query", "GET", logs + "?endpoint=%ff", nil, 400, []string{"endpoint", "UTF-8"}},
		{"invalid UTF-8 in a path", "GET", "/v1/workspaces/%ff/keys", nil, 400, []string{"workspace_id", "UTF-8"}},
		{"bad workspace", "GET", "/v1/workspaces/ACME/keys", nil, 400, []string{"workspace_id"}},
		{"negative page size", "GET", logs + "?page_size=-1", nil, 400, []string{"page_size", "greater than or equal to 0"}},
		{"token of another query", "GET", logs + "?status_class=4xx&page_token=" + token, nil, 400, []string{"page_token", "another"}},
		{"token of another workspace", "GET", "/v1/workspaces/other/request-logs?page_token=" + token, nil, 400, []string{"page_token", "another"}},
		{"made-up token", "GET", logs + "?page_token=AAAA", nil, 400, []string{"page_token"}},
		{"unknown status class", "GET", logs + "?status_class=9xx", nil, 400, []string{"status_class"}},
		{"unknown filter", "GET", logs + "?status_clas=4xx", nil, 400, []string{"status_clas"}},
		{"times in the wrong order", "GET", logs + "?start_time=2026-01-02T00:00:00Z&end_time=2026-01-01T00:00:00Z", nil, 400, []string{"end_time", "after"}},
		{"unknown mask", "PATCH", s.keyPath("acme", k) + "?update_mask=id", object{"name": "n"}, 400, []string{"update_mask", "id"}},
		{"empty change", "PATCH", s.keyPath("acme", k), object{}, 400, []string{"update_mask"}},
		{"blank rename", "PATCH", s.keyPath("acme", k), object{"name": ""}, 400, []string{"name"}},
		{"unknown agent type", "POST", "/v1/check", object{"agentType": "pilot"}, 400, []string{"agent_type", "pilot"}},
		{"outcome without status", "POST", "/v1/report", object{"outcomes": []object{{"reportToken": "x"}}}, 400, []string{"outcomes[0].status"}},
		{"key of another workspace", "GET", s.keyPath("other", k), nil, 404, []string{"not found"}},
		{"change of another workspace's key", "PATCH", s.keyPath("other", k), object{"disabled": true}, 404, []string{"not found"}},
		{"deletion of another workspace's key", "DELETE", s.keyPath("other", k), nil, 404, []string{"not found"}},
		{"rotation of another workspace's key", "POST", s.keyPath("other", k) + ":rotate", object{}, 404, []string{"not found"}},
		{"unknown row", "GET", logs + "/" + k.id, nil, 404, []string{"not found"}},
		{"unknown route", "GET", "/v2", nil, 404, nil},
		{"wrong verb", "PUT", keys, nil, 405, []string{"PUT"}},
		{"NUL in a filter", "GET", logs + "?endpoint=a%00b", nil, 400, []string{"endpoint", "NUL"}},
		{"two bodies", "POST", keys, `{"name":"n"}{"name":"m"}`, 400, []string{"nothing after it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, answer := s.rest(c.method, c.path, c.body)
			if status != c.status {
				t.Errorf("HTTP %d, want %d: %v", status, c.status, answer)
			}
			message, _ := answer["message"].(string)
			for _, part := range c.says {
				if !strings.Contains(message, part) {
					t.Errorf("message %q does not say %q", message, part)
				}
			}
		})
	}
	if key := s.ok("GET", s.keyPath("acme", k), nil)["key"].(object); key["name"] != "k" || key["disabled"] != false {
		t.Errorf("the bad requests changed the key: %v", key)
	}
}

func TestBadInputOverGRPCIsInvalidArgument(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"workspace_id": func() error {
			_, err := s.keys.ListKeys(ctx, &authv1.ListKeysRequest{WorkspaceId: "a b"})
			return err
		},
		"agent_type": func() error {
			_, err := s.checks.Check(ctx, &authv1.CheckRequest{AgentType: "Agent"})
			return err
		},
		"outcomes": func() error {
			_, err := s.checks.Report(ctx, &authv1.ReportRequest{})
			return err
		},
		"page_size": func() error {
			_, err := s.logs.ListRequestLogs(ctx, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: -1})
			return err
		},
		"update_mask": func() error {
			_, err := s.keys.UpdateKey(ctx, &authv1.UpdateKeyRequest{WorkspaceId: "acme", KeyId: "01890a5d-ac96-774b-bcce-b302099a8057", Key: &authv1.Key{}})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want INVALID_ARGUMENT that names %s", err, name)
		}
	}
}

func TestOneBadRowDoesNotStopABatch(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	request := &authv1.CheckRequest{WorkspaceId: "acme"}
	good := checkedOf(request, "acme", s.check(key{}, request)).row
	good.Id = strings.Replace(good.GetId(), good.GetId()[24:], "00000000000a", 1)
	answer, err := s.logs.RecordRequestLogs(t.Context(), &logsv1.RecordRequestLogsRequest{Records: []*logsv1.RequestLogRecord{
		{RequestLog: &logsv1.RequestLog{Id: "junk", WorkspaceId: "acme", Status: 200}},
		{RequestLog: good},
		{RequestLog: &logsv1.RequestLog{Id: "01890a5d-ac96-774b-bcce-b302099a8057", WorkspaceId: "acme", Status: 200}},
		{RequestLog: &logsv1.RequestLog{Id: good.GetId(), WorkspaceId: "acme", Endpoint: "\x00", Status: 200}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		index int32
		says  string
	}{{0, "id: "}, {2, "older than the retention"}, {3, "endpoint: "}} {
		if r := answer.GetRefused(); len(r) != 3 || r[i].GetIndex() != want.index || !strings.Contains(r[i].GetMessage(), want.says) {
			t.Fatalf("refused %v, want %v", answer.GetRefused(), want)
		}
	}
	if status, _ := s.rest("GET", "/v1/workspaces/acme/request-logs/"+good.GetId(), nil); status != http.StatusOK {
		t.Errorf("the good row: HTTP %d", status)
	}
}
