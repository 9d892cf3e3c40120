package e2e

import (
	"testing"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// codeCase is a call with its expected error code; empty means allowed.
type codeCase struct {
	name      string
	apiKey    string
	agentType string
	agentID   string
	code      string
	status    int
	// key is the key whose snapshot the row must hold; nil if the call proves none.
	key     *key
	keyName string
}

// path is the path of the call.
func (c codeCase) path() string { return "/v1/" + c.agentType + "s/" + c.agentID }

func codeCases(s *system) []codeCase {
	good := s.createKey("acme", "good", nil)
	off := s.createKey("acme", "off", nil)
	s.ok("PATCH", s.keyPath("acme", off), object{"disabled": true})
	old := s.createKey("acme", "old", nil)
	s.ok("PATCH", s.keyPath("acme", old), object{"expireTime": time.Now().Add(-time.Hour).Format(time.RFC3339)})
	listed := s.createKey("acme", "listed", object{"allAgents": false, "agentIds": []string{"a1", "a2"}})
	gone := s.createKey("acme", "gone", nil)
	s.ok("DELETE", s.keyPath("acme", gone), nil)
	return []codeCase{
		{"no key", "", "agent", "a1", "missing_token", 401, nil, ""},
		{"a mistyped key", good.secret[:40] + "!", "agent", "a1", "invalid_token", 401, nil, ""},
		{"a stray space", good.secret + " ", "agent", "a1", "invalid_token", 401, nil, ""},
		{"a deleted key", gone.secret, "agent", "a1", "invalid_token", 401, nil, ""},
		{"a disabled key", off.secret, "agent", "a1", "disabled", 401, &off, "off"},
		{"an expired key", old.secret, "agent", "a1", "expired", 401, &old, "old"},
		{"another scope", good.secret, "voice_agent", "a1", "scope_denied", 403, &good, "good"},
		{"an agent not on the list", listed.secret, "agent", "a3", "agent_denied", 403, &listed, "listed"},
		{"an agent on the list", listed.secret, "agent", "a2", "", 200, &listed, "listed"},
		{"a good key", good.secret, "agent", "a1", "", 200, &good, "good"},
	}
}

func TestEveryCodeOverGRPCBecomesARow(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	verifyRows(t, s, codeCases(s), func(c codeCase) string {
		answer, err := s.checks.Check(t.Context(), &authv1.CheckRequest{
			ApiKey: c.apiKey, AgentType: c.agentType, AgentId: c.agentID, Method: "POST",
			Endpoint: c.path() + "?token=hush", WorkspaceId: "acme",
		})
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetDenial().GetCode() != c.code || int(answer.GetHttpStatus()) != c.status || answer.GetAllowed() != (c.code == "") {
			t.Errorf("%s: got %v, want %d %q", c.name, answer, c.status, c.code)
		}
		if d := answer.GetDenial(); (d.GetMessage() == "") != answer.GetAllowed() || (d.GetFix() == "") != answer.GetAllowed() {
			t.Errorf("%s: denial %v with allowed %v", c.name, d, answer.GetAllowed())
		}
		if answer.GetAllowed() {
			report := &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{ReportToken: answer.GetReportToken(), Status: 200, LatencyMs: new(12.5)}}}
			if _, err := s.checks.Report(t.Context(), report); err != nil {
				t.Fatal(err)
			}
		}
		return answer.GetRequestLogId()
	})
}

func TestEveryCodeOverRESTBecomesARow(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	verifyRows(t, s, codeCases(s), func(c codeCase) string {
		answer := s.ok("POST", "/v1/check", object{
			"apiKey": c.apiKey, "agentType": c.agentType, "agentId": c.agentID, "method": "POST",
			"endpoint": c.path() + "?token=hush", "workspaceId": "acme",
		})
		code := ""
		if denial, denied := answer["denial"].(object); denied {
			code = denial["code"].(string)
		}
		if code != c.code || answer["httpStatus"] != float64(c.status) || answer["allowed"] != (c.code == "") {
			t.Errorf("%s: got %v, want %d %q", c.name, answer, c.status, c.code)
		}
		if c.code == "" {
			s.ok("POST", "/v1/report", object{"outcomes": []object{{"reportToken": answer["reportToken"], "status": 200, "latencyMs": 12.5}}})
		}
		return answer["requestLogId"].(string)
	})
}

// verifyRows makes all calls, then reads their rows over REST.
func verifyRows(t *testing.T, s *system, cases []codeCase, call func(codeCase) (id string)) {
	t.Helper()
	ids := make([]string, len(cases))
	for i, c := range cases {
		ids[i] = call(c)
	}
	for i, c := range cases {
		row := s.row("acme", ids[i], finished)
		t.Run(c.name, func(t *testing.T) { verifyRow(t, row, c) })
	}
}

func verifyRow(t *testing.T, row object, c codeCase) {
	t.Helper()
	want := object{
		"workspaceId": "acme", "agentType": c.agentType, "agentId": c.agentID, "method": "POST",
		"endpoint": c.path(), "status": float64(c.status), "errorCode": c.code,
		"keyId": "", "keyName": "", "keyLast4": "",
	}
	if c.key != nil {
		want["keyId"], want["keyName"], want["keyLast4"] = c.key.id, c.keyName, c.key.last4
	}
	for field, value := range want {
		if row[field] != value {
			t.Errorf("%s = %v, want %v", field, row[field], value)
		}
	}
	if latency, reported := row["latencyMs"]; reported != (c.code == "") || reported && latency != 12.5 {
		t.Errorf("latencyMs = %v", latency)
	}
	at, err := time.Parse(time.RFC3339Nano, row["time"].(string))
	if err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("time = %v (%v)", row["time"], err)
	}
}
