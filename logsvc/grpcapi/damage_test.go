package grpcapi_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

// damagedStore has one block, whose summary is damaged.
type damagedStore struct {
	logsvc.Store
	block logsvc.Block
}

func (s damagedStore) View(_ context.Context, query logsvc.ViewQuery) (logsvc.View, error) {
	view := logsvc.View{RowsFrom: query.Range.From, BlocksFrom: query.Range.From}
	if query.Range.Contains(s.block.First) || query.Range.Contains(s.block.Last) {
		view.Blocks = []logsvc.Block{s.block}
	}
	return view, nil
}

func (s damagedStore) Tally(context.Context, string, logsvc.Range, func(block.Group)) (uuid.UUID, error) {
	return s.block.Last, nil
}

func TestDamagedStorageIsNamed(t *testing.T) {
	b := logsvc.Block{
		ID: uuid.New(), First: uuid7.New(noon.Add(-time.Hour)), Last: uuid7.New(noon.Add(-time.Minute)), Summary: []byte("damaged"),
	}
	logs := logsv1.NewLogServiceClient(serveOver(t, logsvc.NewService(damagedStore{block: b}, logsvc.Config{
		Retention: logsvc.DefaultRetention, SearchBudget: time.Minute, Now: func() time.Time { return noon },
		OnDamage: func(string, logsvc.Block, error) {},
	})))
	page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"})
	must(t, err)
	want := []*logsv1.TimeRange{{
		StartTime: timestamppb.New(noon.Add(-time.Hour)), EndTime: timestamppb.New(noon.Add(-time.Minute + time.Millisecond)),
	}}
	if diff := cmp.Diff(want, page.GetUnreadableRanges(), protocmp.Transform()); diff != "" || page.GetNextPageToken() != "" {
		t.Errorf("the next page is %q, unreadable are (-want +got):\n%s", page.GetNextPageToken(), diff)
	}
	stream, err := logs.ExportRequestLogs(t.Context(), &logsv1.ExportRequestLogsRequest{WorkspaceId: "acme"})
	must(t, err)
	part, err := stream.Recv()
	must(t, err)
	if diff := cmp.Diff(want, part.GetUnreadableRanges(), protocmp.Transform()); diff != "" || !part.GetComplete() {
		t.Errorf("the export is complete: %t, unreadable are (-want +got):\n%s", part.GetComplete(), diff)
	}
	for _, method := range []string{"", "GET"} {
		summary, err := logs.SummarizeRequestLogs(t.Context(), &logsv1.SummarizeRequestLogsRequest{WorkspaceId: "acme", Method: method})
		must(t, err)
		if diff := cmp.Diff(want, summary.GetUnreadableRanges(), protocmp.Transform()); diff != "" || !summary.GetComplete() {
			t.Errorf("the summary is complete: %t, unreadable are (-want +got):\n%s", summary.GetComplete(), diff)
		}
	}
	for id, want := range map[uuid.UUID]codes.Code{b.First: codes.DataLoss, uuid7.New(noon): codes.NotFound} {
		_, err := logs.GetRequestLog(t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: "acme", RequestLogId: id.String()})
		if status.Code(err) != want {
			t.Errorf("the row %v: error %v, want %v", id, err, want)
		}
	}
}
