package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// purgedInParts is a log service that needs several calls to purge a workspace, and is unavailable after the last response.
type purgedInParts struct {
	logsv1.LogServiceClient
	responses []*logsv1.PurgeRequestLogsResponse
	// ends are the end times of the requests.
	ends []*timestamppb.Timestamp
}

func (p *purgedInParts) PurgeRequestLogs(_ context.Context, request *logsv1.PurgeRequestLogsRequest, _ ...grpc.CallOption) (*logsv1.PurgeRequestLogsResponse, error) {
	p.ends = append(p.ends, request.GetEndTime())
	if len(p.responses) == 0 {
		return nil, status.Error(codes.Unavailable, "away")
	}
	response := p.responses[0]
	p.responses = p.responses[1:]
	return response, nil
}

func TestListSaysWhatMayBeMissing(t *testing.T) {
	at := timestamppb.New(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	for want, found := range map[string]*logsv1.ListRequestLogsResponse{
		"": {},
		"There may be more; --limit 0 lists all.\n": {NextPageToken: "token"},
		"Rows between 2026-05-01 12:00:00.000Z and 2026-05-01 12:00:00.000Z cannot be read: their storage is damaged.\n": {
			UnreadableRanges: []*logsv1.TimeRange{{StartTime: at, EndTime: at}},
		},
	} {
		var printed bytes.Buffer
		if printMissing(console{err: &printed}, found); printed.String() != want {
			t.Errorf("printed %q, want %q", printed.String(), want)
		}
	}
}

func TestListAsksForEveryFilter(t *testing.T) {
	list := logsList{
		filterFlags: filterFlags{
			StatusClass: "in_progress", KeyID: "k", Method: "POST", Endpoint: "/v1", ErrorCode: "expired",
			AgentType: "data_agent", AgentID: "a1",
		},
		timeFlags: timeFlags{Since: "2026-05-01T12:00:00Z", Until: "2026-05-01T13:00:00Z"},
	}
	list.Workspace = "acme"
	got, err := list.request(time.Now())
	want := &logsv1.ListRequestLogsRequest{
		WorkspaceId: "acme", StatusClass: "in_progress", KeyId: "k", Method: "POST", Endpoint: "/v1", ErrorCode: "expired",
		AgentType: "data_agent", AgentId: "a1",
		StartTime: timestamppb.New(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)),
		EndTime:   timestamppb.New(time.Date(2026, 5, 1, 13, 0, 0, 0, time.UTC)),
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestPurgeCallsAgainUntilItIsComplete(t *testing.T) {
	var progress bytes.Buffer
	end := timestamppb.New(noon)
	logs := &purgedInParts{responses: []*logsv1.PurgeRequestLogsResponse{
		{PurgedCount: 7, EndTime: end}, {PurgedCount: 0, EndTime: end}, {PurgedCount: 5, Complete: true, EndTime: end},
	}}
	response, err := (&logsPurge{}).purge(t.Context(), logs, console{err: &progress})
	if err != nil || response.GetPurgedCount() != 12 || !response.GetComplete() {
		t.Errorf("the response is %v, %v; want 12 and complete", response, err)
	}
	// Otherwise it would not end while rows arrive.
	if want := []*timestamppb.Timestamp{nil, end, end}; !cmp.Equal(want, logs.ends, protocmp.Transform()) {
		t.Errorf("the requests end at %v, want %v", logs.ends, want)
	}
	if strings.Count(progress.String(), "Deleted 7 request logs so far") != 2 {
		t.Errorf("printed %q, want each step", progress.String())
	}
	logs.responses = []*logsv1.PurgeRequestLogsResponse{{PurgedCount: 7}}
	if response, err := (&logsPurge{}).purge(t.Context(), logs, console{err: &progress}); response != nil || status.Code(err) != codes.Unavailable {
		t.Errorf("the second call fails: %v, %v", response, err)
	}
}

// pagedLogs is a log service with many pages of two rows. It calls before for each page.
type pagedLogs struct {
	logsv1.LogServiceClient
	pages  int
	before func(page int)
}

func (p *pagedLogs) ListRequestLogs(_ context.Context, request *logsv1.ListRequestLogsRequest, _ ...grpc.CallOption) (*logsv1.ListRequestLogsResponse, error) {
	page, _ := strconv.Atoi(request.GetPageToken())
	p.before(page)
	response := p.page(page)
	if page < p.pages-1 {
		response.NextPageToken = strconv.Itoa(page + 1)
	}
	return response, nil
}

func (p *pagedLogs) page(page int) *logsv1.ListRequestLogsResponse {
	row := func(suffix string) *logsv1.RequestLog {
		return &logsv1.RequestLog{Id: fmt.Sprintf("id-%d-%s", page, suffix), Time: timestamppb.New(noon), Endpoint: strings.Repeat("/", page+1)}
	}
	response := &logsv1.ListRequestLogsResponse{
		RequestLogs: []*logsv1.RequestLog{row("a"), row("b")}, SearchedTo: timestamppb.New(noon), Retention: durationpb.New(time.Hour),
	}
	if page == 1 {
		response.UnreadableRanges = []*logsv1.TimeRange{{StartTime: timestamppb.New(noon), EndTime: timestamppb.New(noon)}}
	}
	return response
}

// whole is the response that all pages make.
func (p *pagedLogs) whole() *logsv1.ListRequestLogsResponse {
	all := &logsv1.ListRequestLogsResponse{}
	for page := range p.pages {
		response := p.page(page)
		all.RequestLogs = append(all.RequestLogs, response.GetRequestLogs()...)
		all.UnreadableRanges = append(all.UnreadableRanges, response.GetUnreadableRanges()...)
		all.SearchedTo, all.Retention = response.GetSearchedTo(), response.GetRetention()
	}
	return all
}

func TestListPrintsEachPageBeforeItReadsTheNext(t *testing.T) {
	for _, format := range []string{"table", "json"} {
		var out, errs bytes.Buffer
		logs := &pagedLogs{pages: 20}
		logs.before = func(page int) {
			if rows := strings.Count(out.String(), "id-"); rows != 2*page {
				t.Errorf("%s: %d rows are printed before page %d is read, want %d", format, rows, page, 2*page)
			}
		}
		list := &logsList{Limit: 0}
		list.Output = format
		must(t, list.list(t.Context(), logs, &logsv1.ListRequestLogsRequest{}, console{out: &out, err: &errs}))
		if format == "json" {
			var got logsv1.ListRequestLogsResponse
			must(t, protojson.Unmarshal(out.Bytes(), &got))
			if diff := cmp.Diff(logs.whole(), &got, protocmp.Transform()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
			continue
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 1+2*logs.pages || strings.Count(out.String(), "ENDPOINT") != 1 || !strings.Contains(errs.String(), "cannot be read") {
			t.Errorf("printed %d lines:\n%s%s", len(lines), out.String(), errs.String())
		}
	}
}

// TestJSONOfAListIsIndentedAsOtherJSON compares it with that of a single response, whose spaces protojson varies.
func TestJSONOfAListIsIndentedAsOtherJSON(t *testing.T) {
	for pages, want := range map[int]*logsv1.ListRequestLogsResponse{0: {}, 1: (&pagedLogs{pages: 1}).whole(), 3: (&pagedLogs{pages: 3}).whole()} {
		var streamed, whole, indented bytes.Buffer
		list := &jsonList{to: &streamed}
		for page := range pages {
			must(t, list.page((&pagedLogs{}).page(page).GetRequestLogs()))
		}
		rest := proto.CloneOf(want)
		rest.RequestLogs = nil
		must(t, list.end(rest))
		must(t, outputFlag{Output: "json"}.print(console{out: &whole}, want, nil))
		must(t, json.Indent(&indented, whole.Bytes(), "", "  "))
		if streamed.String() != indented.String() {
			t.Errorf("%d pages: printed\n%swant\n%s", pages, streamed.String(), indented.String())
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
