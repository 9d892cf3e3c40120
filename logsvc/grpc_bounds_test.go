package logsvc_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/logsvc"
)

func TestLastTimeThereIsIsABoundThatCanBeAnswered(t *testing.T) {
	logs, _, _ := dial(t)
	page, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{
		WorkspaceId: "acme", StartTime: timestamppb.New(time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)),
	})
	must(t, err)
	if err := page.GetSearchedTo().CheckValid(); err != nil {
		t.Errorf("searched to %v: %v", page.GetSearchedTo(), err)
	}
}

func TestFilterWithNULNamesTheField(t *testing.T) {
	logs, _, _ := dial(t)
	_, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", Endpoint: "/a\x00b"})
	if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != "endpoint: must not hold NUL" {
		t.Errorf("error %v, want INVALID_ARGUMENT in endpoint", err)
	}
}

func TestPingTellsWhetherTheStoreCanBeRead(t *testing.T) {
	store := openStore(t)
	service := logsvc.NewService(store, config(func() time.Time { return noon }))
	must(t, service.Ping(t.Context()))
	must(t, store.Close())
	if service.Ping(t.Context()) == nil {
		t.Error("a store that is closed can be read")
	}
}
