package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// check sends a check over gRPC.
func (s *system) check(k key, call *authv1.CheckRequest) *authv1.CheckResponse {
	s.t.Helper()
	call.ApiKey, call.Method = k.secret, "POST"
	if call.AgentType == "" {
		call.AgentType = "agent"
	}
	answer, err := s.checks.Check(s.t.Context(), call)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// list returns the rows of all pages of a list.
func (s *system) list(workspace, query string) []object {
	s.t.Helper()
	var rows []object
	// On a busy machine a page may reach its search budget and hold fewer rows.
	for token, more := "", true; more; more = token != "" {
		params, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
		if err != nil {
			s.t.Fatal(err)
		}
		params.Set("page_token", token)
		page := s.ok("GET", "/v1/workspaces/"+workspace+"/request-logs?"+params.Encode(), nil)
		for _, row := range page["requestLogs"].([]any) {
			rows = append(rows, row.(object))
		}
		token = page["nextPageToken"].(string)
	}
	return rows
}

func TestAKeyOfAnotherWorkspaceIsDeniedInItsOwnLog(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	k := s.createKey("workspace-a", "a's own", nil)
	answer := s.check(k, &authv1.CheckRequest{AgentId: "b1", Endpoint: "/v1/b1", WorkspaceId: "workspace-b"})
	if answer.GetDenial().GetCode() != "agent_denied" {
		t.Fatalf("error code %q, want agent_denied", answer.GetDenial().GetCode())
	}
	row := s.row("workspace-a", answer.GetRequestLogId(), exists)
	if row["keyName"] != "a's own" {
		t.Errorf("row %v", row)
	}
	if rows := s.list("workspace-b", ""); len(rows) != 0 {
		t.Errorf("workspace-b sees %v", rows)
	}
	if status, answer := s.rest("GET", s.keyPath("workspace-b", k), nil); status != http.StatusNotFound {
		t.Errorf("workspace-b gets the key: %d %v", status, answer)
	}
}

func TestCallsWithoutAWorkspaceAreUnattributed(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	answer := s.check(key{secret: "sk_unknown"}, &authv1.CheckRequest{Endpoint: "/v1"})
	row := s.row("_unattributed", answer.GetRequestLogId(), exists)
	if row["errorCode"] != "invalid_token" {
		t.Errorf("row %v", row)
	}
}

func TestASnapshotSurvivesRenameRotationAndDeletion(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	k := s.createKey("acme", "first name", nil)
	id := s.check(k, &authv1.CheckRequest{Endpoint: "/v1"}).GetRequestLogId()
	s.row("acme", id, exists)
	s.ok("PATCH", s.keyPath("acme", k), object{"name": "second name"})
	rotated := s.ok("POST", s.keyPath("acme", k)+":rotate", object{"gracePeriod": "3600s"})
	second := key{id: k.id, secret: rotated["secret"].(string)}
	newID := s.check(second, &authv1.CheckRequest{Endpoint: "/v1"}).GetRequestLogId()
	oldID := s.check(k, &authv1.CheckRequest{Endpoint: "/v1"}).GetRequestLogId()
	s.row("acme", newID, exists)
	s.ok("DELETE", s.keyPath("acme", k), nil)
	for _, want := range []struct{ id, name, last4 string }{
		{id, "first name", k.last4}, {oldID, "second name", k.last4}, {newID, "second name", second.secret[len(second.secret)-4:]},
	} {
		row := s.row("acme", want.id, exists)
		if row["keyName"] != want.name || row["keyLast4"] != want.last4 || row["keyId"] != k.id {
			t.Errorf("row %v, want %v", row, want)
		}
	}
	if rows := s.list("acme", "?key_id="+k.id); len(rows) != 3 {
		t.Errorf("%d rows of the deleted key, want 3", len(rows))
	}
}

func TestARotatedSecretExpiresAfterItsGrace(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	k := s.createKey("acme", "k", nil)
	s.ok("POST", s.keyPath("acme", k)+":rotate", object{"gracePeriod": "0s"})
	if code := s.check(k, &authv1.CheckRequest{}).GetDenial().GetCode(); code != "expired" {
		t.Errorf("error code %q, want expired", code)
	}
}

func TestOnlyTheFirstReportSetsTheStatus(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	k := s.createKey("acme", "k", nil)
	report := func(answer *authv1.CheckResponse, status int32) []*authv1.RefusedOutcome {
		t.Helper()
		outcome := &authv1.Outcome{ReportToken: answer.GetReportToken(), Status: status, LatencyMs: new(float64(12))}
		response, err := s.checks.Report(t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{outcome}})
		if err != nil {
			t.Fatalf("report: %v", err)
		}
		return response.GetRefused()
	}
	denied := s.check(k, &authv1.CheckRequest{AgentType: "voice_agent"})
	allowed := s.check(k, &authv1.CheckRequest{Endpoint: "/own"})
	damaged := s.check(k, &authv1.CheckRequest{Endpoint: "/damaged"})
	damaged.ReportToken = strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return r
	}, damaged.GetReportToken()[:len(damaged.GetReportToken())-4]) + "AAAA"

	if refused := report(damaged, 200); len(refused) != 1 || refused[0].GetReason() != "invalid" {
		t.Errorf("a damaged token: refused %v", refused)
	}
	for _, status := range []int32{404, 500} {
		if refused := append(report(denied, status), report(allowed, status)...); len(refused) > 0 {
			t.Errorf("refused %v", refused)
		}
	}
	for _, tt := range []struct {
		id, code string
		want     func(object) bool
		status   float64
	}{
		{denied.GetRequestLogId(), "scope_denied", reported, 404}, {allowed.GetRequestLogId(), "", reported, 404}, {damaged.GetRequestLogId(), "", exists, 0},
	} {
		row := s.row("acme", tt.id, tt.want)
		if row["status"] != tt.status || row["errorCode"] != tt.code || tt.status != 0 && row["latencyMs"] != 12.0 {
			t.Errorf("row %v, want status %v with the code %q", row, tt.status, tt.code)
		}
	}
	if rows := s.list("acme", ""); len(rows) != 3 {
		t.Errorf("%d rows, want 3", len(rows))
	}
}

func TestTheEndpointFilterMatchesLiterally(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	k := s.createKey("acme", "k", nil)
	endpoints := []string{"/v1/agents", "/100%", "/1000", "/a_b", "/axb", `/back\slash`, "/o'brien", "/straße", "/STRASSE", "/日本語"}
	var last string
	for _, e := range endpoints {
		last = s.check(k, &authv1.CheckRequest{Endpoint: e}).GetRequestLogId()
	}
	s.row("acme", last, exists)
	for filter, want := range map[string][]string{
		"/V1/Agents": {"/v1/agents"}, "%": {"/100%"}, "_": {"/a_b"}, `\`: {`/back\slash`}, "'": {"/o'brien"},
		"SSE": {"/STRASSE"}, "ß": {"/straße"}, "本": {"/日本語"}, "100": {"/1000", "/100%"},
	} {
		var got []string
		for _, row := range s.list("acme", "?endpoint="+url.QueryEscape(filter)) {
			got = append(got, row["endpoint"].(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("endpoint=%s finds %q, want %q", filter, got, want)
		}
	}
}

func TestUnusualPathsDoNotFailACheck(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	k := s.createKey("acme", "k", nil)
	ids := map[string]string{}
	for path, want := range map[string]string{
		"/a\u0080\x00b?q":                   "/a%C2%80%00b",
		"/" + strings.Repeat("ä", 2000):     "/" + strings.Repeat("ä", 1023),
		"":                                  "",
		"/tab\there\x7f":                    "/tab%09here%7F",
		strings.Repeat("x", 1<<19) + "?a=b": strings.Repeat("x", 2048),
	} {
		ids[s.check(k, &authv1.CheckRequest{Endpoint: path}).GetRequestLogId()] = want
	}
	for id, want := range ids {
		if got := s.row("acme", id, exists)["endpoint"]; got != want {
			t.Errorf("endpoint %.40q, want %.40q", got, want)
		}
	}
}

func TestUnusualMethodsAndAgentsDoNotFailACheck(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	answer, err := s.checks.Check(t.Context(), &authv1.CheckRequest{
		ApiKey: s.createKey("acme", "k", nil).secret, AgentType: "agent", Method: "G\x00T /\u202e" + strings.Repeat("x", 100),
		AgentId: "a\x00\u009b" + strings.Repeat("🙂", 300),
	})
	if err != nil || !answer.GetAllowed() {
		t.Fatalf("check: %v, %v", answer, err)
	}
	row := s.row("acme", answer.GetRequestLogId(), exists)
	if row["method"] != "G%00T /%E2%80%AE"+strings.Repeat("x", 16) || row["agentId"] != "a%00%C2%9B"+strings.Repeat("🙂", 245) {
		t.Errorf("row %v", row)
	}
}

func TestAKeyCanBeUpdatedWithItsOwnResponse(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	for _, draft := range []object{nil, {"allAgents": false, "agentIds": []string{"a1"}, "expireTime": "2999-01-01T00:00:00Z"}} {
		k := s.createKey("acme", "k", draft)
		want := s.ok("GET", s.keyPath("acme", k), nil)["key"].(object)
		got := s.ok("PATCH", s.keyPath("acme", k), want)["key"].(object)
		for _, field := range []string{"updateTime", "etag"} {
			delete(want, field)
			delete(got, field)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the key became %v, want %v", got, want)
		}
		want["name"] = "renamed"
		if got := s.ok("PATCH", s.keyPath("acme", k)+"?updateMask=name,expireTime", want)["key"].(object); got["name"] != "renamed" {
			t.Errorf("the key became %v", got)
		}
	}
}

// record stores a row of this time directly, without the trail.
func (s *system) record(workspace string, at time.Time) {
	s.t.Helper()
	row := &logsv1.RequestLog{Id: uuid7.New(at).String(), WorkspaceId: workspace, Status: 200}
	answer, err := s.logs.RecordRequestLogs(s.t.Context(), &logsv1.RecordRequestLogsRequest{Records: []*logsv1.RequestLogRecord{{RequestLog: row}}})
	if err != nil || len(answer.GetRefused()) != 0 {
		s.t.Fatalf("record a row: %v, %v", answer, err)
	}
}

func TestPagingReturnsEveryRowOnceWhileRowsArrive(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	k := s.createKey("acme", "k", nil)
	there := map[string]int{}
	var last string
	for range 95 {
		last = s.check(k, &authv1.CheckRequest{Endpoint: "/before"}).GetRequestLogId()
		there[last] = 0
	}
	s.row("acme", last, exists)
	token := ""
	for page := 0; page == 0 || token != ""; page++ {
		answer := s.ok("GET", fmt.Sprintf("/v1/workspaces/acme/request-logs?page_size=10&page_token=%s", token), nil)
		for _, row := range answer["requestLogs"].([]any) {
			there[row.(object)["id"].(string)]++
		}
		token = answer["nextPageToken"].(string)
		s.record("acme", time.Now())
		if page > 20 {
			t.Fatal("the walk does not end")
		}
	}
	if len(there) != 95 {
		t.Errorf("the walk returned %d rows, want the 95 at its start", len(there))
	}
	for id, times := range there {
		if times != 1 {
			t.Errorf("row %s was returned %d times", id, times)
		}
	}
}

func TestARowIsVisibleUntilTheMillisecondItIs30DaysOld(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	s := start(t, t.TempDir(), func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	id := s.check(key{}, &authv1.CheckRequest{WorkspaceId: "acme"}).GetRequestLogId()
	s.row("acme", id, exists)
	path := "/v1/workspaces/acme/request-logs/" + id
	ahead.Store(int64(30*24*time.Hour - time.Hour))
	if status, answer := s.rest("GET", path, nil); status != http.StatusOK {
		t.Errorf("an hour before: %d %v", status, answer)
	}
	ahead.Store(int64(30 * 24 * time.Hour))
	if status, answer := s.rest("GET", path, nil); status != http.StatusNotFound {
		t.Errorf("30 days later: %d %v", status, answer)
	}
	if rows := s.list("acme", ""); len(rows) != 0 {
		t.Errorf("30 days later the list has %v", rows)
	}
}

func TestPurgeDeletesOnlyOneWorkspace(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	s.row("acme", s.check(key{}, &authv1.CheckRequest{WorkspaceId: "acme"}).GetRequestLogId(), exists)
	other := s.check(key{}, &authv1.CheckRequest{WorkspaceId: "other"}).GetRequestLogId()
	s.row("other", other, exists)
	if answer := s.ok("POST", "/v1/workspaces/acme/request-logs:purge", object{}); answer["purgedCount"] != "1" || answer["complete"] != true {
		t.Errorf("purge: %v", answer)
	}
	if rows := s.list("acme", ""); len(rows) != 0 {
		t.Errorf("after the purge: %v", rows)
	}
	s.row("other", other, exists)
}
