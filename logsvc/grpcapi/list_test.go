package grpcapi_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// listAll returns the ids on all pages. It calls between after each page.
func listAll(t *testing.T, logs logsv1.LogServiceClient, request *logsv1.ListRequestLogsRequest, between func(*logsv1.ListRequestLogsResponse)) []string {
	t.Helper()
	request = proto.CloneOf(request)
	ids := []string{}
	for range 100 {
		page, err := logs.ListRequestLogs(t.Context(), request)
		must(t, err)
		if len(page.GetRequestLogs()) > int(request.GetPageSize()) {
			t.Fatalf("a page of %d holds %d rows", request.GetPageSize(), len(page.GetRequestLogs()))
		}
		for _, r := range page.GetRequestLogs() {
			ids = append(ids, r.GetId())
		}
		between(page)
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return ids
		}
	}
	t.Fatal("the list does not end")
	return nil
}

func TestPagesListEachRowOnceWhileRowsArrive(t *testing.T) {
	logs := newFixture(t)
	random := rand.New(rand.NewPCG(1, 2))
	var want []string
	for range 40 {
		e := entryAt(noon.Add(-time.Duration(random.IntN(5)) * time.Millisecond)) // many share a millisecond
		logs.record(t, e)
		want = append(want, e.ID.String())
	}
	slices.Sort(want)
	slices.Reverse(want)
	for _, size := range []int32{1, 7, 40, 50} {
		late := map[string]bool{}
		got := listAll(t, logs, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: size, EndTime: timestamppb.New(noon.Add(time.Hour))},
			func(*logsv1.ListRequestLogsResponse) {
				e := entryAt(noon.Add(time.Minute))
				logs.record(t, e)
				late[e.ID.String()] = true
			})
		found := slices.DeleteFunc(got, func(id string) bool { return late[id] || !slices.Contains(want, id) })
		if !slices.Equal(found, want) {
			t.Errorf("pages of %d list %d of the %d stored rows, or in another order", size, len(found), len(want))
		}
	}
}

func TestSearchedToDecreasesWithEveryPage(t *testing.T) {
	logs := newFixture(t)
	for i := range 4 {
		logs.record(t, entryAt(noon.Add(time.Duration(i/2)*time.Second))) // two in each of two milliseconds
	}
	var reached []time.Duration
	listAll(t, logs, &logsv1.ListRequestLogsRequest{
		WorkspaceId: "acme", PageSize: 1, StartTime: timestamppb.New(noon.Add(-time.Minute + 1)),
	}, func(page *logsv1.ListRequestLogsResponse) {
		reached = append(reached, page.GetSearchedTo().AsTime().Sub(noon))
	})
	// A row of the same millisecond may follow on the next page, so searched_to is the end of that millisecond.
	want := []time.Duration{time.Second + time.Millisecond, time.Second + time.Millisecond, time.Millisecond, -time.Minute + time.Millisecond}
	if !slices.Equal(reached, want) {
		t.Errorf("searched to %v from noon, want %v", reached, want)
	}
	whole, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"})
	must(t, err)
	start := noon.Add(-logsvc.DefaultRetention + time.Millisecond)
	if got := whole.GetSearchedTo().AsTime(); !got.Equal(start) || whole.GetNextPageToken() != "" {
		t.Errorf("the whole list searched to %v, want the start of the retention %v", got, start)
	}
}

func TestTokenIsRefusedWithAnotherQuery(t *testing.T) {
	logs := newFixture(t)
	keyID := uuid7.New(noon)
	for range 3 {
		e := entryAt(noon)
		e.KeyID, e.Status, e.ErrorCode, e.AgentType, e.AgentID = keyID, 401, "expired", "agent", "a1"
		logs.record(t, e)
	}
	original := &logsv1.ListRequestLogsRequest{
		WorkspaceId: "acme", StatusClass: "4xx", KeyId: keyID.String(), Endpoint: "/V1", ErrorCode: "expired",
		AgentType: "agent", AgentId: "a1", Method: "GET",
		StartTime: timestamppb.New(noon.Add(-time.Hour)), EndTime: timestamppb.New(noon.Add(time.Hour)), PageSize: 1,
	}
	page, err := logs.ListRequestLogs(t.Context(), original)
	must(t, err)
	original.PageToken = page.GetNextPageToken()
	for name, change := range map[string]func(*logsv1.ListRequestLogsRequest){
		"another workspace":    func(r *logsv1.ListRequestLogsRequest) { r.WorkspaceId = "globex" },
		"another status class": func(r *logsv1.ListRequestLogsRequest) { r.StatusClass = "5xx" },
		"no status class":      func(r *logsv1.ListRequestLogsRequest) { r.StatusClass = "" },
		"another key":          func(r *logsv1.ListRequestLogsRequest) { r.KeyId = uuid7.New(noon).String() },
		"another endpoint":     func(r *logsv1.ListRequestLogsRequest) { r.Endpoint = "/v2" },
		"another error code":   func(r *logsv1.ListRequestLogsRequest) { r.ErrorCode = "disabled" },
		"another agent type":   func(r *logsv1.ListRequestLogsRequest) { r.AgentType = "data_agent" },
		"another agent":        func(r *logsv1.ListRequestLogsRequest) { r.AgentId = "a2" },
		"an agent as the type": func(r *logsv1.ListRequestLogsRequest) { r.AgentType, r.AgentId = r.AgentId, r.AgentType },
		"another method":       func(r *logsv1.ListRequestLogsRequest) { r.Method = "get" },
		"another start":        func(r *logsv1.ListRequestLogsRequest) { r.StartTime = nil },
		"another end":          func(r *logsv1.ListRequestLogsRequest) { r.EndTime = nil },
		"a made-up token":      func(r *logsv1.ListRequestLogsRequest) { r.PageToken = "AAAA" },
		"a token cut short":    func(r *logsv1.ListRequestLogsRequest) { r.PageToken = r.PageToken[:10] },
	} {
		request := proto.CloneOf(original)
		change(request)
		t.Run(name, func(t *testing.T) {
			_, err := logs.ListRequestLogs(t.Context(), request)
			expectInvalid(t, err, "page_token")
		})
	}
	original.PageSize = 2 // how much is on a page is not part of the query
	if page, err = logs.ListRequestLogs(t.Context(), original); err != nil || len(page.GetRequestLogs()) != 2 {
		t.Errorf("the token with its own query: %d rows, %v; want 2", len(page.GetRequestLogs()), err)
	}
}

func TestTokenOlderThanTheWindowEndsTheList(t *testing.T) {
	logs := newFixture(t)
	logs.record(t, entryAt(noon), entryAt(noon))
	request := &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: 1}
	page, err := logs.ListRequestLogs(t.Context(), request)
	must(t, err)
	logs.clock.Store(new(noon.Add(40 * 24 * time.Hour)))
	request.PageToken = page.GetNextPageToken()
	page, err = logs.ListRequestLogs(t.Context(), request)
	if err != nil || len(page.GetRequestLogs()) != 0 || page.GetNextPageToken() != "" {
		t.Errorf("the next page is %v, %v; want the end of the list", page, err)
	}
}

func TestInvalidListRequestsNameTheField(t *testing.T) {
	logs := newFixture(t)
	for name, tt := range map[string]struct {
		field   string
		request *logsv1.ListRequestLogsRequest
	}{
		"no workspace":     {"workspace_id", &logsv1.ListRequestLogsRequest{}},
		"a status class":   {"status_class", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", StatusClass: "3xx"}},
		"a key":            {"key_id", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", KeyId: "k"}},
		"a long endpoint":  {"endpoint", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", Endpoint: string(make([]byte, 257))}},
		"an error code":    {"error_code", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", ErrorCode: "Expired"}},
		"an agent type":    {"agent_type", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", AgentType: "Data Agent"}},
		"a long agent":     {"agent_id", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", AgentId: strings.Repeat("é", 256)}},
		"a long method":    {"method", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", Method: strings.Repeat("M", 33)}},
		"a size below 0":   {"page_size", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: -1}},
		"a token":          {"page_token", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageToken: "%%%"}},
		"end before start": {"end_time", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", StartTime: timestamppb.New(noon), EndTime: timestamppb.New(noon)}},
		"an invalid time":  {"start_time", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", StartTime: &timestamppb.Timestamp{Nanos: -1}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := logs.ListRequestLogs(t.Context(), tt.request)
			expectInvalid(t, err, tt.field)
		})
	}
}

func TestPageSizeIsClamped(t *testing.T) {
	logs := newFixture(t)
	var rows []logsvc.Entry
	for range 1001 {
		rows = append(rows, entryAt(noon))
	}
	logs.record(t, rows...)
	for size, want := range map[int32]int{0: 50, 999: 999, 1000: 1000, 1001: 1000, math.MaxInt32: 1000} {
		page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: size})
		if err != nil || len(page.GetRequestLogs()) != want {
			t.Errorf("a page of %d holds %d rows, %v; want %d", size, len(page.GetRequestLogs()), err, want)
		}
	}
}

func TestListReturnsTheRetention(t *testing.T) {
	logs := newFixture(t)
	page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"})
	must(t, err)
	if got := page.GetRetention().AsDuration(); got != logsvc.DefaultRetention || len(page.GetUnreadableRanges()) != 0 {
		t.Errorf("rows are kept for %v, unreadable are %v; want %v and none", got, page.GetUnreadableRanges(), logsvc.DefaultRetention)
	}
}

func TestListIsFilteredByTypeAndIDOfTheAgent(t *testing.T) {
	logs := newFixture(t)
	longest := strings.Repeat("é", 255)
	for _, agent := range [][2]string{{"agent", "a1"}, {"data_agent", "a1"}, {"data_agent", longest}, {"", ""}} {
		e := entryAt(noon)
		e.AgentType, e.AgentID = agent[0], agent[1]
		logs.record(t, e)
	}
	for name, tt := range map[string]struct {
		agentType, agentID string
		want               []string
	}{
		"nothing":         {"", "", []string{" ", "agent a1", "data_agent a1", "data_agent " + longest}},
		"a type":          {"data_agent", "", []string{"data_agent a1", "data_agent " + longest}},
		"an id":           {"", "a1", []string{"agent a1", "data_agent a1"}},
		"both":            {"data_agent", "a1", []string{"data_agent a1"}},
		"the longest id":  {"", longest, []string{"data_agent " + longest}},
		"a part of an id": {"", "a", nil},
		"another case":    {"", "A1", nil},
		"an unknown type": {"robot", "", nil},
	} {
		page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", AgentType: tt.agentType, AgentId: tt.agentID})
		must(t, err)
		var got []string
		for _, r := range page.GetRequestLogs() {
			got = append(got, r.GetAgentType()+" "+r.GetAgentId())
		}
		if slices.Sort(got); !slices.Equal(got, tt.want) {
			t.Errorf("%s finds %q, want %q", name, got, tt.want)
		}
	}
}

func TestListIsFilteredByMethodAndInProgress(t *testing.T) {
	logs := newFixture(t)
	for _, method := range []string{"GET", "POST"} {
		for _, status := range []int{0, 200} {
			e := entryAt(noon)
			e.Method, e.Status = method, status
			logs.record(t, e)
		}
	}
	for name, tt := range map[string]struct {
		method, class string
		want          []string
	}{
		"a method":    {"POST", "", []string{"POST 0", "POST 200"}},
		"in progress": {"", "in_progress", []string{"GET 0", "POST 0"}},
		"both":        {"GET", "in_progress", []string{"GET 0"}},
		"a class":     {"GET", "2xx", []string{"GET 200"}},
	} {
		page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{
			WorkspaceId: "acme", Method: tt.method, StatusClass: tt.class,
		})
		must(t, err)
		var got []string
		for _, r := range page.GetRequestLogs() {
			got = append(got, fmt.Sprint(r.GetMethod(), " ", r.GetStatus()))
		}
		if slices.Sort(got); !slices.Equal(got, tt.want) {
			t.Errorf("%s finds %q, want %q", name, got, tt.want)
		}
	}
}

func TestErrorCodeOfALaterReleaseIsStoredAndFound(t *testing.T) {
	logs := newFixture(t)
	later := row()
	later.AgentType, later.ErrorCode, later.Cause = "robot_2", "quota_exceeded", "per_day"
	resp, err := logs.RecordRequestLogs(t.Context(), batch(later, row()))
	must(t, err)
	if len(resp.GetRefused()) != 0 {
		t.Fatalf("refused: %v", resp)
	}
	for code, want := range map[string][]*logsv1.RequestLog{"quota_exceeded": {later}, "unknown_code": nil} {
		page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", ErrorCode: code})
		must(t, err)
		if diff := cmp.Diff(want, page.GetRequestLogs(), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", code, diff)
		}
	}
}

func TestLastTimeOfTheContractIsAValidBound(t *testing.T) {
	logs := newFixture(t)
	page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{
		WorkspaceId: "acme", StartTime: timestamppb.New(time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)),
	})
	must(t, err)
	if err := page.GetSearchedTo().CheckValid(); err != nil {
		t.Errorf("searched to %v: %v", page.GetSearchedTo(), err)
	}
}

func TestFilterWithNULNamesTheField(t *testing.T) {
	logs := newFixture(t)
	for field, request := range map[string]*logsv1.ListRequestLogsRequest{
		"endpoint": {WorkspaceId: "acme", Endpoint: "/a\x00b"},
		"agent_id": {WorkspaceId: "acme", AgentId: "a\x00b"},
		"method":   {WorkspaceId: "acme", Method: "a\x00b"},
	} {
		_, err := logs.ListRequestLogs(t.Context(), request)
		if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != field+": must not hold NUL" {
			t.Errorf("error %v, want INVALID_ARGUMENT in %s", err, field)
		}
	}
}
