package grpcapi

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/pagetoken"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// TailRequestLogs implements the contract.
func (s server) TailRequestLogs(
	req *logsv1.TailRequestLogsRequest, stream grpc.ServerStreamingServer[logsv1.TailRequestLogsResponse],
) error {
	filter, _, err := parseFilter(req)
	if err != nil {
		return err
	}
	query := logsvc.TailQuery{WorkspaceID: req.GetWorkspaceId(), Filter: filter}
	if token := req.GetResumeToken(); token != "" {
		if query.CompleteTo, err = parseTailToken(token, query.WorkspaceID); err != nil {
			return err
		}
	}
	// When this returns, gRPC ends its own context, and a Send that waits for a reader that does not read: also when the token of
	// the caller has expired. FollowStore waits for the tail.
	ended := make(chan error, 2)
	go func() {
		ended <- s.logs.Tail(stream.Context(), query, func(m logsvc.TailMessage) error {
			return stream.Send(tailMessage(m, query.WorkspaceID))
		}, func(err error) { ended <- err })
	}()
	select {
	case err := <-ended:
		return err
	case <-stream.Context().Done():
		return context.Cause(stream.Context())
	}
}

func tailMessage(m logsvc.TailMessage, workspaceID string) *logsv1.TailRequestLogsResponse {
	resp := &logsv1.TailRequestLogsResponse{ResumeToken: tailToken(m.CompleteTo, workspaceID)}
	for _, e := range m.Entries {
		resp.RequestLogs = append(resp.RequestLogs, toProto(*e))
	}
	if !m.Gap.IsZero() {
		resp.Gap = &logsv1.TailGap{StartTime: timestamppb.New(m.Gap)}
	}
	return resp
}

// tailToken returns the token of a stream that is complete to a time.
func tailToken(completeTo time.Time, workspaceID string) string {
	return pagetoken.Encode(uuid7.First(completeTo), tailScope, workspaceID)
}

// parseTailToken returns the time of a token that was made for the workspace. With other filters it may be used as well.
func parseTailToken(token, workspaceID string) (completeTo time.Time, err error) {
	cursor, err := pagetoken.DecodeResume(token, tailScope, workspaceID)
	return uuid7.Time(cursor), err
}

const tailScope = "request_logs_tail"
