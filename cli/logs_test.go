package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// purgedInParts is a log service that needs several calls to purge a workspace, and is unavailable after the last response.
type purgedInParts struct {
	logsv1.LogServiceClient
	responses []*logsv1.PurgeRequestLogsResponse
}

func (p *purgedInParts) PurgeRequestLogs(context.Context, *logsv1.PurgeRequestLogsRequest, ...grpc.CallOption) (*logsv1.PurgeRequestLogsResponse, error) {
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
		StatusClass: "4xx", KeyID: "k", Endpoint: "/v1", ErrorCode: "expired", AgentType: "data_agent", AgentID: "a1",
		Since: "2026-05-01T12:00:00Z", Until: "2026-05-01T13:00:00Z",
	}
	list.Workspace = "acme"
	got, err := list.request(time.Now())
	want := &logsv1.ListRequestLogsRequest{
		WorkspaceId: "acme", StatusClass: "4xx", KeyId: "k", Endpoint: "/v1", ErrorCode: "expired", AgentType: "data_agent", AgentId: "a1",
		StartTime: timestamppb.New(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)),
		EndTime:   timestamppb.New(time.Date(2026, 5, 1, 13, 0, 0, 0, time.UTC)),
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestPurgeCallsAgainUntilItIsComplete(t *testing.T) {
	var progress bytes.Buffer
	logs := &purgedInParts{responses: []*logsv1.PurgeRequestLogsResponse{{PurgedCount: 7}, {PurgedCount: 0}, {PurgedCount: 5, Complete: true}}}
	response, err := (&logsPurge{}).purge(t.Context(), logs, console{err: &progress})
	if err != nil || response.GetPurgedCount() != 12 || !response.GetComplete() {
		t.Errorf("the response is %v, %v; want 12 and complete", response, err)
	}
	if strings.Count(progress.String(), "Deleted 7 request logs so far") != 2 {
		t.Errorf("printed %q, want each step", progress.String())
	}
	logs.responses = []*logsv1.PurgeRequestLogsResponse{{PurgedCount: 7}}
	if response, err := (&logsPurge{}).purge(t.Context(), logs, console{err: &progress}); response != nil || status.Code(err) != codes.Unavailable {
		t.Errorf("the second call fails: %v, %v", response, err)
	}
}
