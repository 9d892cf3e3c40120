package grpcapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

func TestCheckAndReportOverGRPC(t *testing.T) {
	f := newFixture(t)
	key, secret := f.create(t, func(k *authsvc.Key) { k.ExternalID, k.Metadata = "customer 7", map[string]string{"plan": "gold"} })
	checks := authv1.NewCheckServiceClient(f.dial(t))
	callID := uuid7.New(f.now).String()
	response, err := checks.Check(t.Context(), &authv1.CheckRequest{
		ApiKey: secret.Reveal(), AgentType: "agent", AgentId: "a1", Method: "POST", Endpoint: "/v1?token=t", WorkspaceId: "acme", CallId: callID,
	})
	must(t, err)
	want := &authv1.CheckResponse{
		Allowed: true, HttpStatus: 200, RequestLogId: callID, WorkspaceId: "acme", KeyId: key.ID.String(), KeyName: "production",
		KeyLast4: secret.Last4(), ExternalId: "customer 7", Metadata: map[string]string{"plan": "gold"}, ReportToken: response.GetReportToken(),
	}
	if diff := cmp.Diff(want, response, protocmp.Transform()); diff != "" || response.GetReportToken() == "" {
		t.Errorf("the check returns (-want +got):\n%s", diff)
	}
	for range 2 {
		response, err := checks.Report(t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{
			{ReportToken: "forged", Status: 200, LatencyMs: new(float64(0))}, {ReportToken: response.GetReportToken(), Status: 500, LatencyMs: new(12.3456)},
		}})
		must(t, err)
		refused := []*authv1.RefusedOutcome{{Index: 0, Reason: "invalid"}}
		if diff := cmp.Diff(refused, response.GetRefused(), protocmp.Transform()); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
	}
	rows := f.appended()
	if len(rows) != 3 || rows[1] != rows[2] {
		t.Fatalf("a check and two reports of it make the rows %+v", rows)
	}
	finished := rows[0]
	finished.Status, finished.Reported, finished.Latency, finished.FromReport = 500, true, 12346*time.Microsecond, true
	if rows[1] != finished {
		t.Errorf("the report appends %+v, want %+v", rows[1], finished)
	}
}

func TestDenialOverGRPCSaysWhatIsWrongAndHowToFixIt(t *testing.T) {
	f := newFixture(t)
	checks := authv1.NewCheckServiceClient(f.dial(t))
	_, good := f.create(t, nil)
	_, listed := f.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, []string{"a1"} })
	_, off := f.create(t, func(k *authsvc.Key) { k.Disabled = true })
	ended, old := f.create(t, nil)
	_, _, err := f.keys.Rotate(t.Context(), "acme", ended.ID, 0, uuid.Nil)
	must(t, err)
	for name, tt := range map[string]struct {
		request *authv1.CheckRequest
		status  int32
		want    *authv1.Denial
	}{
		"no header": {&authv1.CheckRequest{}, 401, &authv1.Denial{
			Code: "missing_token", Message: "No api-key header was sent on the request", Fix: "Add the header — api-key: sk_<your-secret>"}},
		"a disabled key": {&authv1.CheckRequest{ApiKey: off.Reveal()}, 401, &authv1.Denial{
			Code: "disabled", Message: "The key has been disabled in the UI", Fix: "Toggle it back on, or use a different key"}},
		"a rotated secret": {&authv1.CheckRequest{ApiKey: old.Reveal()}, 401, &authv1.Denial{
			Code: "expired", Message: "The key passed its Expires date", Cause: "secret_rotated",
			Fix: "Use the key's newest secret; this one was replaced by a rotation"}},
		"a missing scope": {&authv1.CheckRequest{ApiKey: good.Reveal(), AgentType: "voice_agent"}, 403, &authv1.Denial{
			Code: "scope_denied", Message: "The key doesn't have the scope for the agent type being called (Agent / Data Agent / Voice Agent)",
			Fix: "Edit the key and add the missing scope: voice_agent"}},
		"an agent off the list": {&authv1.CheckRequest{ApiKey: listed.Reveal(), AgentId: "a2"}, 403, &authv1.Denial{
			Code: "agent_denied", Message: "The key's Agent Access doesn't include the target agent",
			Fix: "Add the agent to the key's allowlist, or set Agent Access to All Agents"}},
		"no agent": {&authv1.CheckRequest{ApiKey: listed.Reveal()}, 403, &authv1.Denial{
			Code: "agent_denied", Message: "The key's Agent Access doesn't include the target agent", Cause: "no_agent",
			Fix: "Name the agent in the call, or set Agent Access to All Agents; this key is for certain agents only"}},
		"an agent of another workspace": {&authv1.CheckRequest{ApiKey: good.Reveal(), WorkspaceId: "globex"}, 403, &authv1.Denial{
			Code: "agent_denied", Message: "The key's Agent Access doesn't include the target agent", Cause: "other_workspace",
			Fix: "Use a key of the agent's workspace"}},
	} {
		if tt.request.AgentType == "" {
			tt.request.AgentType = "agent"
		}
		response, err := checks.Check(t.Context(), tt.request)
		must(t, err)
		if diff := cmp.Diff(tt.want, response.GetDenial(), protocmp.Transform()); diff != "" || response.GetAllowed() || response.GetHttpStatus() != tt.status {
			t.Errorf("%s returned %v (-want +got):\n%s", name, response, diff)
		}
		rows := f.appended()
		if row := rows[len(rows)-1]; string(row.Cause) != tt.want.GetCause() || row.ID.String() != response.GetRequestLogId() {
			t.Errorf("%s leaves the row %+v", name, row)
		}
	}
}

func TestRowOfADeniedCallIsCleanOverGRPC(t *testing.T) {
	f := newFixture(t)
	checks := authv1.NewCheckServiceClient(f.dial(t))
	for _, sent := range []struct{ apiKey, endpoint, kept string }{
		{"\x00", "/\x00\n", "/%00%0A"}, {" ", "", ""}, {"sk_", "/é?token=t", "/é"},
	} {
		response, err := checks.Check(t.Context(), &authv1.CheckRequest{
			ApiKey: sent.apiKey, AgentType: "agent", Method: "GET /\x00" + sent.endpoint, Endpoint: sent.endpoint,
			AgentId: "\x1b" + strings.Repeat("a", 1000),
		})
		must(t, err)
		if response.GetDenial().GetCode() != "invalid_token" || response.GetKeyId() != "" || response.GetWorkspaceId() != "" {
			t.Errorf("%q returned %v", sent.apiKey, response)
		}
		rows := f.appended()
		row := rows[len(rows)-1]
		if row.Endpoint != sent.kept || row.AgentID != "%1B"+strings.Repeat("a", 252) ||
			!strings.HasPrefix(row.Method, "GET /%00") || len(row.Method) > 32 || row.WorkspaceID != authsvc.Unattributed {
			t.Errorf("the row of %q is %+v", sent.apiKey, row)
		}
	}
}

func TestMalformedChecksNameTheField(t *testing.T) {
	f := newFixture(t)
	checks := authv1.NewCheckServiceClient(f.dial(t))
	for field, request := range map[string]*authv1.CheckRequest{
		"agent_type":   {AgentType: "robot"},
		"workspace_id": {AgentType: "agent", WorkspaceId: "Not An Id"},
		"call_id":      {AgentType: "agent", CallId: "not an id"},
	} {
		_, err := checks.Check(t.Context(), request)
		expectBad(t, err, field)
	}
	_, err := checks.Check(t.Context(), &authv1.CheckRequest{AgentType: "agent", CallId: uuid7.New(f.now.Add(time.Hour)).String()})
	if info := expectReason(t, err, codes.InvalidArgument, fault.CallIDClock); info.GetMetadata()["server_time"] != "2026-05-01T12:00:00.000Z" {
		t.Errorf("the error says %v, want the time of the service", info)
	}
	if rows := f.appended(); len(rows) != 0 {
		t.Errorf("malformed checks leave the rows %+v", rows)
	}
}

func TestMalformedReportsNameTheField(t *testing.T) {
	f := newFixture(t)
	checks := authv1.NewCheckServiceClient(f.dial(t))
	response, err := checks.Check(t.Context(), &authv1.CheckRequest{AgentType: "agent"})
	must(t, err)
	token := response.GetReportToken()
	for field, outcomes := range map[string][]*authv1.Outcome{
		"outcomes": {},
		"outcomes[1].status": {
			{ReportToken: token, Status: 200, LatencyMs: new(float64(0))}, {ReportToken: token, Status: 99, LatencyMs: new(float64(0))},
		},
		"outcomes[1].latency_ms": {{ReportToken: token, Status: 200, LatencyMs: new(float64(0))}, {ReportToken: token, Status: 200}},
		"outcomes[0].latency_ms": {{ReportToken: token, Status: 200, LatencyMs: new(float64(-1))}},
	} {
		_, err := checks.Report(t.Context(), &authv1.ReportRequest{Outcomes: outcomes})
		expectBad(t, err, field)
	}
	if rows := f.appended(); len(rows) != 1 {
		t.Errorf("malformed reports leave the rows %+v", rows[1:])
	}
}

func TestCheckTellsNothingOfAKeyOfAnotherWorkspace(t *testing.T) {
	f := newFixture(t)
	_, secret := f.create(t, func(k *authsvc.Key) { k.ExternalID, k.Metadata = "customer 7", map[string]string{"plan": "gold"} })
	_, off := f.create(t, func(k *authsvc.Key) { k.Disabled = true })
	checks := authv1.NewCheckServiceClient(f.dial(t))
	foreign, err := checks.Check(t.Context(), &authv1.CheckRequest{ApiKey: off.Reveal(), AgentType: "agent", WorkspaceId: "globex"})
	must(t, err)
	if foreign.GetDenial().GetCode() != "disabled" || foreign.GetWorkspaceId()+foreign.GetKeyId()+foreign.GetKeyName()+foreign.GetKeyLast4() != "" {
		t.Errorf("a disabled key of another workspace returned %v", foreign)
	}
	for workspace, told := range map[string]bool{"": true, "acme": true, "globex": false} {
		response, err := checks.Check(t.Context(), &authv1.CheckRequest{ApiKey: secret.Reveal(), AgentType: "agent", WorkspaceId: workspace})
		must(t, err)
		everything := response.GetWorkspaceId() == "acme" && response.GetKeyId() != "" && response.GetKeyName() != "" && response.GetKeyLast4() != "" &&
			response.GetExternalId() != "" && len(response.GetMetadata()) == 1
		nothing := response.GetWorkspaceId()+response.GetKeyId()+response.GetKeyName()+response.GetKeyLast4()+response.GetExternalId() == "" && response.GetMetadata() == nil
		if told && !everything || !told && !nothing {
			t.Errorf("a check for %q returned %v", workspace, response)
		}
	}
}
