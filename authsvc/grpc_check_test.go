package authsvc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

func TestCheckAndReportOverGRPC(t *testing.T) {
	w := newWorld(t)
	key, secret := w.create(t, nil)
	checks := authv1.NewCheckServiceClient(w.dial(t))
	answer, err := checks.Check(t.Context(), &authv1.CheckRequest{
		ApiKey: secret.Reveal(), AgentType: "agent", AgentId: "a1", Method: "POST", Endpoint: "/v1?token=t", WorkspaceId: "acme",
	})
	must(t, err)
	want := &authv1.CheckResponse{Allowed: true, HttpStatus: 200, Entry: &logsv1.RequestLog{
		Id: answer.GetEntry().GetId(), Time: timestamppb.New(w.clock.now), WorkspaceId: "acme",
		KeyId: key.ID.String(), KeyName: "production", KeyLast4: secret.Last4(),
		AgentType: "agent", AgentId: "a1", Method: "POST", Endpoint: "/v1", Repeated: 1, Proof: answer.GetEntry().GetProof(),
	}}
	if diff := cmp.Diff(want, answer, protocmp.Transform()); diff != "" {
		t.Errorf("the check answers (-want +got):\n%s", diff)
	}

	moved := proto.CloneOf(answer.GetEntry())
	moved.WorkspaceId = "globex"
	answer.Entry.Repeated = 9 // which a report cannot change
	for _, entry := range []*logsv1.RequestLog{moved, answer.GetEntry(), answer.GetEntry()} {
		_, err := checks.Report(t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{
			{Entry: entry, Status: 500, LatencyMs: 12.3456},
		}})
		must(t, err)
	}
	rows := w.trail.all()
	if len(rows) != 3 || rows[1] != rows[2] {
		t.Fatalf("a check and two reports of it make the rows %+v", rows)
	}
	finished := rows[0]
	finished.Status, finished.Latency = 500, 12346*time.Microsecond
	if rows[1] != finished {
		t.Errorf("the report appends %+v, want %+v", rows[1], finished)
	}
}

func TestDenialIsAnAnswerOverGRPC(t *testing.T) {
	w := newWorld(t)
	checks := authv1.NewCheckServiceClient(w.dial(t))
	// Whatever the caller sent in its header and path, it is the caller's mistake, never the backend's.
	for _, sent := range []struct{ apiKey, endpoint, kept string }{
		{"\xff\x00", "/\xff\x00\n", "/%FF%00%0A"}, {" ", "", ""}, {"sk_", "/é?\xff", "/é"},
	} {
		answer, err := checks.Check(t.Context(), &authv1.CheckRequest{
			ApiKey: sent.apiKey, AgentType: "agent", Method: "GET /\x00\xff" + sent.endpoint, Endpoint: sent.endpoint,
			AgentId: "\xff\x1b" + strings.Repeat("a", 1000),
		})
		must(t, err)
		entry := answer.GetEntry()
		if answer.GetAllowed() || answer.GetErrorCode() != "invalid_token" || answer.GetHttpStatus() != 401 ||
			answer.GetMessage() != authsvc.InvalidToken.Message() {
			t.Errorf("%q is answered with %v", sent.apiKey, answer)
		}
		if entry.GetStatus() != 401 || entry.GetErrorCode() != "invalid_token" || entry.GetKeyId() != "" ||
			entry.GetEndpoint() != sent.kept || entry.GetAgentId() != "%FF%1B"+strings.Repeat("a", 249) ||
			!strings.HasPrefix(entry.GetMethod(), "GET /%00%FF") || len(entry.GetMethod()) > 32 || entry.GetWorkspaceId() != authsvc.Unattributed {
			t.Errorf("the row of %q is %v", sent.apiKey, entry)
		}
	}
}

func TestMalformedChecksNameTheField(t *testing.T) {
	w := newWorld(t)
	checks := authv1.NewCheckServiceClient(w.dial(t))
	for field, request := range map[string]*authv1.CheckRequest{
		"agent_type":   {AgentType: "robot"},
		"workspace_id": {AgentType: "agent", WorkspaceId: "Not An Id"},
	} {
		_, err := checks.Check(t.Context(), request)
		expectBad(t, err, field)
	}
	_, err := checks.Check(t.Context(), &authv1.CheckRequest{AgentType: "agent", WorkspaceId: "a\xff"})
	expectBad(t, err, "workspace_id")
	if rows := w.trail.all(); len(rows) != 0 {
		t.Errorf("malformed checks leave the rows %+v", rows)
	}
}

func TestMalformedReportsNameTheField(t *testing.T) {
	w := newWorld(t)
	checks := authv1.NewCheckServiceClient(w.dial(t))
	answer, err := checks.Check(t.Context(), &authv1.CheckRequest{AgentType: "agent"})
	must(t, err)
	entry := answer.GetEntry()
	broken := proto.CloneOf(entry)
	broken.AgentId = "a\xff"
	for field, outcomes := range map[string][]*authv1.Outcome{
		"outcomes":                   {},
		"outcomes[0].entry":          {{Status: 200}},
		"outcomes[1].status":         {{Entry: entry, Status: 200}, {Entry: entry, Status: 99}},
		"outcomes[0].latency_ms":     {{Entry: entry, Status: 200, LatencyMs: -1}},
		"outcomes[0].entry.agent_id": {{Entry: broken, Status: 200}},
	} {
		_, err := checks.Report(t.Context(), &authv1.ReportRequest{Outcomes: outcomes})
		expectBad(t, err, field)
	}
	if rows := w.trail.all(); len(rows) != 1 {
		t.Errorf("malformed reports leave the rows %+v", rows[1:])
	}
}

func TestCheckTellsNothingOfAKeyOfAnotherWorkspace(t *testing.T) {
	w := newWorld(t)
	_, secret := w.create(t, nil)
	checks := authv1.NewCheckServiceClient(w.dial(t))
	for workspace, told := range map[string]bool{"": true, "acme": true, "globex": false} {
		answer, err := checks.Check(t.Context(), &authv1.CheckRequest{ApiKey: secret.Reveal(), AgentType: "agent", WorkspaceId: workspace})
		must(t, err)
		entry := answer.GetEntry()
		if knows := entry.GetKeyId() != "" && entry.GetKeyName() != "" && entry.GetKeyLast4() != "" && entry.GetWorkspaceId() == "acme"; knows != told {
			t.Errorf("a check for %q answers %v", workspace, answer)
		}
		if !told && (entry.GetKeyId()+entry.GetKeyName()+entry.GetKeyLast4() != "" || entry.GetWorkspaceId() != "globex" || answer.GetErrorCode() != "agent_denied") {
			t.Errorf("a check for %q answers %v", workspace, answer)
		}
	}
}
