package gateway

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

const keyID = "01890a5d-ac96-774b-bcce-b302099a8057"

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestUnknownFieldOfABodyIsRefused(t *testing.T) {
	handler, services := newGateway(t)
	for name, tt := range map[string]struct{ method, path, body, says string }{
		"misspelt":     {"POST", "/v1/workspaces/acme/keys", `{"name":"n","scopes":["agent"],"allAgents":true,"expiresTime":"2027-01-01T00:00:00Z"}`, "expiresTime"},
		"in a check":   {"POST", "/v1/check", `{"agentType":"agent","workspace":"acme"}`, "workspace"},
		"in a report":  {"POST", "/v1/report", `{"outcomes":[{"reportToken":"t","status":200,"latency":1}]}`, "latency"},
		"in an update": {"PATCH", "/v1/workspaces/acme/keys/" + keyID, `{"nmae":"n"}`, "nmae"},
		"given twice":  {"POST", "/v1/check", `{"agentType":"agent","agent_type":"data_agent"}`, "agent_type"},
		"of a type":    {"POST", "/v1/check", `{"agentType":7}`, "agentType"},
	} {
		t.Run(name, func(t *testing.T) {
			expectError(t, send(handler, tt.method, tt.path, tt.body), 400, fault.RequestMalformed, tt.says)
			if got := services.received(); got != nil {
				t.Errorf("the service received %v", got)
			}
		})
	}
}

func TestReportIsForwarded(t *testing.T) {
	handler, services := newGateway(t)
	response := send(handler, "POST", "/v1/report", `{"outcomes":[{"reportToken":"t","status":200,"latencyMs":12.5}]}`)
	want := &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{ReportToken: "t", Status: 200, LatencyMs: new(12.5)}}}
	if diff := cmp.Diff(proto.Message(want), services.received(), protocmp.Transform()); diff != "" || response.Code != 200 {
		t.Errorf("%d %s (-want +got):\n%s", response.Code, response.Body, diff)
	}
}

func TestQueryIsReadStrictly(t *testing.T) {
	handler, services := newGateway(t)
	path := "/v1/workspaces/acme/request-logs?"
	full := &logsv1.ListRequestLogsRequest{
		WorkspaceId: "acme", StatusClass: "4xx", KeyId: keyID, Endpoint: `/é%_\'`, ErrorCode: "expired",
		StartTime: timestamppb.New(noon), PageSize: 7, PageToken: "t",
	}
	for name, query := range map[string]string{
		"names of the contract": "status_class=4xx&key_id=" + keyID + "&endpoint=/%C3%A9%25_%5C%27&error_code=expired&start_time=2026-05-01T12:00:00Z&page_size=7&page_token=t",
		"names of JSON":         "statusClass=4xx&keyId=" + keyID + "&endpoint=/%C3%A9%25_%5C%27&errorCode=expired&startTime=2026-05-01T12:00:00Z&pageSize=7&pageToken=t",
	} {
		response := send(handler, "GET", path+query, "")
		if diff := cmp.Diff(proto.Message(full), services.received(), protocmp.Transform()); diff != "" || response.Code != 200 {
			t.Errorf("%s: %d %s (-want +got):\n%s", name, response.Code, response.Body, diff)
		}
	}
	for query, says := range map[string]string{
		"status=4xx": "status: unknown query parameter", "statusclass=4xx": "statusclass", "endpoint.x=1": "endpoint.x",
		"start_time.x=1": "start_time.x", "=1": "unknown query parameter", "page_size=many": "", "page_size=9999999999": "",
		"start_time=yesterday": "", "status_class=4xx&status_class=5xx": "status_class",
	} {
		expectError(t, send(handler, "GET", path+query, ""), 400, fault.RequestMalformed, says)
		if got := services.received(); got != nil {
			t.Errorf("with the query %s the service received %v", query, got)
		}
	}
}

func TestUpdateChangesTheFieldsOfItsBodyWithoutAMask(t *testing.T) {
	handler, services := newGateway(t)
	for body, want := range map[string]struct {
		key   string
		paths []string
	}{
		`{"name":"n"}`:                          {`{"name":"n"}`, []string{"name"}},
		`{"disabled":false}`:                    {`{}`, []string{"disabled"}},
		`{"metadata":{"a":"b","c":"d"}}`:        {`{"metadata":{"a":"b","c":"d"}}`, []string{"metadata"}},
		`{"metadata":{}}`:                       {`{}`, []string{"metadata"}},
		`{"etag":"e","name":"n"}`:               {`{"etag":"e","name":"n"}`, []string{"etag", "name"}},
		`{"agentIds":["a"]}`:                    {`{"agentIds":["a"]}`, []string{"agent_ids"}},
		`{"expireTime":null}`:                   {`{}`, []string{"expire_time"}},
		`{"agent_ids":["a"]}`:                   {`{"agentIds":["a"]}`, []string{"agent_ids"}},
		`{"scopes":["agent"]}`:                  {`{"scopes":["agent"]}`, []string{"scopes"}},
		`{"allAgents":true}`:                    {`{"allAgents":true}`, []string{"all_agents"}},
		`{"expireTime":"2027-01-01T00:00:00Z"}`: {`{"expireTime":"2027-01-01T00:00:00Z"}`, []string{"expire_time"}},
	} {
		key := &authv1.Key{}
		must(t, protojson.Unmarshal([]byte(want.key), key))
		response := send(handler, "PATCH", "/v1/workspaces/acme/keys/"+keyID, body)
		request := &authv1.UpdateKeyRequest{
			WorkspaceId: "acme", KeyId: keyID, Key: key, UpdateMask: &fieldmaskpb.FieldMask{Paths: want.paths},
		}
		if diff := cmp.Diff(proto.Message(request), services.received(), protocmp.Transform()); diff != "" || response.Code != 200 {
			t.Errorf("%s: %d %s (-want +got):\n%s", body, response.Code, response.Body, diff)
		}
	}
}

func TestMaskOfTheQueryOverridesTheBody(t *testing.T) {
	handler, services := newGateway(t)
	for query, tt := range map[string]struct {
		body string
		want []string
	}{
		"update_mask=name,expire_time": {`{"name":"n","disabled":true}`, []string{"name", "expire_time"}},
		"updateMask=expireTime":        {`{}`, []string{"expireTime"}},
	} {
		send(handler, "PATCH", "/v1/workspaces/acme/keys/"+keyID+"?"+query, tt.body)
		request, ok := services.received().(*authv1.UpdateKeyRequest)
		if !ok {
			t.Fatalf("%s: the service received nothing", query)
		}
		if diff := cmp.Diff(tt.want, request.GetUpdateMask().GetPaths()); diff != "" {
			t.Errorf("%s: mask (-want +got):\n%s", query, diff)
		}
	}
}

func TestPathIdentifiesTheKey(t *testing.T) {
	handler, services := newGateway(t)
	path := "/v1/workspaces/acme/keys/" + keyID + ":rotate"
	want := &authv1.RotateKeyRequest{WorkspaceId: "acme", KeyId: keyID}
	for _, body := range []string{`{}`, ``, `{"workspaceId":"globex","keyId":"x"}`} {
		response := send(handler, "POST", path, body)
		if diff := cmp.Diff(proto.Message(want), services.received(), protocmp.Transform()); diff != "" || response.Code != 200 {
			t.Errorf("with the body %s: %d %s (-want +got):\n%s", body, response.Code, response.Body, diff)
		}
	}
}
