package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
