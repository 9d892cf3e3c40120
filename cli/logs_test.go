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

// purgedInParts is a log service that needs several calls to purge a workspace, and is away after the last answer.
type purgedInParts struct {
	logsv1.LogServiceClient
	answers []*logsv1.PurgeRequestLogsResponse
}

func (p *purgedInParts) PurgeRequestLogs(context.Context, *logsv1.PurgeRequestLogsRequest, ...grpc.CallOption) (*logsv1.PurgeRequestLogsResponse, error) {
	if len(p.answers) == 0 {
		return nil, status.Error(codes.Unavailable, "away")
	}
	answer := p.answers[0]
	p.answers = p.answers[1:]
	return answer, nil
}

func TestPurgeCallsAgainUntilItIsComplete(t *testing.T) {
	var told bytes.Buffer
	logs := &purgedInParts{answers: []*logsv1.PurgeRequestLogsResponse{{PurgedCount: 7}, {PurgedCount: 0}, {PurgedCount: 5, Complete: true}}}
	answer, err := (&logsPurge{}).purge(t.Context(), logs, console{err: &told})
	if err != nil || answer.GetPurgedCount() != 12 || !answer.GetComplete() {
		t.Errorf("the answer is %v, %v; want 12 and complete", answer, err)
	}
	if strings.Count(told.String(), "7 request logs are deleted so far") != 2 {
		t.Errorf("told %q, want each step", told.String())
	}
	logs.answers = []*logsv1.PurgeRequestLogsResponse{{PurgedCount: 7}}
	if answer, err := (&logsPurge{}).purge(t.Context(), logs, console{err: &told}); answer != nil || status.Code(err) != codes.Unavailable {
		t.Errorf("the second call fails: %v, %v", answer, err)
	}
}
