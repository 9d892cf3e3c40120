package logsvc_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// walk answers the ids on all pages; between happens after each page.
func walk(t *testing.T, logs logsv1.LogServiceClient, request *logsv1.ListRequestLogsRequest, between func(*logsv1.ListRequestLogsResponse)) []string {
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
	t.Fatal("the walk does not end")
	return nil
}

func TestWalkFindsEachRowOnceWhateverArrives(t *testing.T) {
	logs, service, _ := dial(t)
	random := rand.New(rand.NewPCG(1, 2))
	var want []string
	for range 40 {
		e := entryAt(noon.Add(-time.Duration(random.IntN(5)) * time.Millisecond)) // many share a millisecond
		record(t, service, e)
		want = append(want, e.ID.String())
	}
	slices.Sort(want)
	slices.Reverse(want)
	for _, size := range []int32{1, 7, 40, 50} {
		late := map[string]bool{}
		got := walk(t, logs, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: size, EndTime: timestamppb.New(noon.Add(time.Hour))},
			func(*logsv1.ListRequestLogsResponse) {
				e := entryAt(noon.Add(time.Minute))
				record(t, service, e)
				late[e.ID.String()] = true
			})
		found := slices.DeleteFunc(got, func(id string) bool { return late[id] || !slices.Contains(want, id) })
		if !slices.Equal(found, want) {
			t.Errorf("pages of %d find %d of the %d rows that were there, or in another order", size, len(found), len(want))
		}
	}
}

func TestSearchedToReachesBackWithEveryPage(t *testing.T) {
	logs, service, _ := dial(t)
	for i := range 4 {
		record(t, service, entryAt(noon.Add(time.Duration(i/2)*time.Second))) // two in each of two milliseconds
	}
	var reached []time.Duration
	walk(t, logs, &logsv1.ListRequestLogsRequest{
		WorkspaceId: "acme", PageSize: 1, StartTime: timestamppb.New(noon.Add(-time.Minute + 1)),
	}, func(page *logsv1.ListRequestLogsResponse) {
		reached = append(reached, page.GetSearchedTo().AsTime().Sub(noon))
	})
	// A row of the same millisecond may be left for the next page: only what is later is promised.
	want := []time.Duration{time.Second + time.Millisecond, time.Second + time.Millisecond, time.Millisecond, -time.Minute + time.Millisecond}
	if !slices.Equal(reached, want) {
		t.Errorf("searched to %v from noon, want %v", reached, want)
	}
	whole, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"})
	must(t, err)
	start := noon.Add(-logsvc.DefaultRetention + time.Millisecond)
	if got := whole.GetSearchedTo().AsTime(); !got.Equal(start) || whole.GetNextPageToken() != "" {
		t.Errorf("the whole walk searched to %v, want the start of the retention %v", got, start)
	}
}

func TestTokenIsRefusedWithAnotherQuery(t *testing.T) {
	logs, service, _ := dial(t)
	keyID := uuid7.New(noon)
	for range 3 {
		e := entryAt(noon)
		e.KeyID, e.Status, e.ErrorCode = keyID, 401, "expired"
		record(t, service, e)
	}
	original := &logsv1.ListRequestLogsRequest{
		WorkspaceId: "acme", StatusClass: "4xx", KeyId: keyID.String(), Endpoint: "/V1", ErrorCode: "expired",
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
		"another start":        func(r *logsv1.ListRequestLogsRequest) { r.StartTime = nil },
		"another end":          func(r *logsv1.ListRequestLogsRequest) { r.EndTime = nil },
		"a token of its own":   func(r *logsv1.ListRequestLogsRequest) { r.PageToken = "AAAA" },
		"a token cut short":    func(r *logsv1.ListRequestLogsRequest) { r.PageToken = r.PageToken[:10] },
	} {
		request := proto.CloneOf(original)
		change(request)
		t.Run(name, func(t *testing.T) {
			_, err := logs.ListRequestLogs(t.Context(), request)
			expectBad(t, err, "page_token")
		})
	}
	original.PageSize = 2 // how much is on a page is not part of the query
	if page, err = logs.ListRequestLogs(t.Context(), original); err != nil || len(page.GetRequestLogs()) != 2 {
		t.Errorf("the token with its own query: %d rows, %v; want 2", len(page.GetRequestLogs()), err)
	}
}

func TestTokenGoesOnWhenTheWindowHasMovedPastIt(t *testing.T) {
	logs, service, clock := dial(t)
	record(t, service, entryAt(noon), entryAt(noon))
	request := &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: 1}
	page, err := logs.ListRequestLogs(t.Context(), request)
	must(t, err)
	clock.set(noon.Add(40 * 24 * time.Hour))
	request.PageToken = page.GetNextPageToken()
	page, err = logs.ListRequestLogs(t.Context(), request)
	if err != nil || len(page.GetRequestLogs()) != 0 || page.GetNextPageToken() != "" {
		t.Errorf("the walk goes on with %v, %v; want its end", page, err)
	}
}

func TestMalformedListsNameTheField(t *testing.T) {
	logs, _, _ := dial(t)
	for name, tt := range map[string]struct {
		field   string
		request *logsv1.ListRequestLogsRequest
	}{
		"no workspace":       {"workspace_id", &logsv1.ListRequestLogsRequest{}},
		"a status class":     {"status_class", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", StatusClass: "3xx"}},
		"a key":              {"key_id", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", KeyId: "k"}},
		"a long endpoint":    {"endpoint", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", Endpoint: string(make([]byte, 257))}},
		"an error code":      {"error_code", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", ErrorCode: "Expired"}},
		"a size below 0":     {"page_size", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: -1}},
		"a token":            {"page_token", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageToken: "%%%"}},
		"times turned":       {"end_time", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", StartTime: timestamppb.New(noon), EndTime: timestamppb.New(noon)}},
		"a time that is not": {"start_time", &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", StartTime: &timestamppb.Timestamp{Nanos: -1}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := logs.ListRequestLogs(t.Context(), tt.request)
			expectBad(t, err, tt.field)
		})
	}
}

func TestPageSizeAboveTheMostIsClamped(t *testing.T) {
	logs, service, _ := dial(t)
	var rows []logsvc.Entry
	for range 1001 {
		rows = append(rows, entryAt(noon))
	}
	record(t, service, rows...)
	for size, want := range map[int32]int{0: 50, 999: 999, 1000: 1000, 1001: 1000, math.MaxInt32: 1000} {
		page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: size})
		if err != nil || len(page.GetRequestLogs()) != want {
			t.Errorf("a page of %d holds %d rows, %v; want %d", size, len(page.GetRequestLogs()), err, want)
		}
	}
}

func TestListTellsTheRetention(t *testing.T) {
	logs, _, _ := dial(t)
	page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"})
	must(t, err)
	if got := page.GetRetention().AsDuration(); got != logsvc.DefaultRetention || len(page.GetUnreadableRanges()) != 0 {
		t.Errorf("rows are kept for %v, unreadable are %v; want %v and none", got, page.GetUnreadableRanges(), logsvc.DefaultRetention)
	}
}

func TestErrorCodeOfALaterReleaseIsStoredAndFound(t *testing.T) {
	logs, _, _ := dial(t)
	later := row()
	later.AgentType, later.ErrorCode, later.Cause = "robot_2", "quota_exceeded", "per_day"
	answer, err := logs.RecordRequestLogs(t.Context(), batch(later, row()))
	must(t, err)
	if len(answer.GetRefused()) != 0 {
		t.Fatalf("refused: %v", answer)
	}
	for code, want := range map[string][]*logsv1.RequestLog{"quota_exceeded": {later}, "never_heard_of": nil} {
		page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", ErrorCode: code})
		must(t, err)
		if diff := cmp.Diff(want, page.GetRequestLogs(), protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", code, diff)
		}
	}
}
