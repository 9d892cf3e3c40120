package logsvc_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

func TestRowComesBackAsItWasRecorded(t *testing.T) {
	logs, _, _ := dial(t)
	want := row()
	sent := proto.CloneOf(want)
	sent.Proof = &logsv1.RequestLog_Signature{Signature: "never stored"}
	sent.Time = timestamppb.New(noon.AddDate(-1, 0, 0)) // ignored: the time is the id's
	answer, err := logs.RecordRequestLogs(t.Context(), &logsv1.RecordRequestLogsRequest{RequestLogs: []*logsv1.RequestLog{sent}})
	must(t, err)
	if len(answer.GetRefused()) != 0 {
		t.Fatalf("refused: %v", answer)
	}
	got, err := logs.GetRequestLog(t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: "acme", Id: want.GetId()})
	must(t, err)
	if diff := cmp.Diff(want, got.GetRequestLog(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err = logs.GetRequestLog(t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: "globex", Id: want.GetId()})
	if status.Code(err) != codes.NotFound {
		t.Errorf("another workspace asks for the row: %v, want NOT_FOUND", err)
	}
}

func TestCallsThatShareARowAreCountedByTheLargestOfIts(t *testing.T) {
	logs, _, _ := dial(t)
	shared := row()
	for _, step := range []struct{ sent, want int32 }{{0, 1}, {0, 1}, {7, 7}, {3, 7}, {7, 7}, {math.MaxInt32, math.MaxInt32}, {1, math.MaxInt32}} {
		shared.Repeated = step.sent
		_, err := logs.RecordRequestLogs(t.Context(), &logsv1.RecordRequestLogsRequest{RequestLogs: []*logsv1.RequestLog{shared}})
		must(t, err)
		got, err := logs.GetRequestLog(t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: "acme", Id: shared.GetId()})
		must(t, err)
		if got.GetRequestLog().GetRepeated() != step.want {
			t.Errorf("after %d the row stands for %d calls, want %d", step.sent, got.GetRequestLog().GetRepeated(), step.want)
		}
	}
}

func TestRowsThatBreakARuleAreRefusedOneByOne(t *testing.T) {
	logs, _, _ := dial(t)
	breaks := []struct {
		field  string
		change func(*logsv1.RequestLog)
	}{
		{"id", func(r *logsv1.RequestLog) { r.Id = "" }},
		{"id", func(r *logsv1.RequestLog) { r.Id = "not an id" }},
		{"id", func(r *logsv1.RequestLog) { r.Id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8" }},
		{"workspace_id", func(r *logsv1.RequestLog) { r.WorkspaceId = "" }},
		{"workspace_id", func(r *logsv1.RequestLog) { r.WorkspaceId = "_other" }},
		{"key_id", func(r *logsv1.RequestLog) { r.KeyId = "k" }},
		{"key_name", func(r *logsv1.RequestLog) { r.KeyName = strings.Repeat("n", 101) }},
		{"key_name", func(r *logsv1.RequestLog) { r.KeyName = "a\x00" }},
		{"key_last4", func(r *logsv1.RequestLog) { r.KeyLast4 = "abcde" }},
		{"agent_type", func(r *logsv1.RequestLog) { r.AgentType = "A" }},
		{"agent_id", func(r *logsv1.RequestLog) { r.AgentId = "\xff" }},
		{"method", func(r *logsv1.RequestLog) { r.Method = strings.Repeat("M", 33) }},
		{"endpoint", func(r *logsv1.RequestLog) { r.Endpoint = strings.Repeat("e", 2049) }},
		{"endpoint", func(r *logsv1.RequestLog) { r.Endpoint = "/\xff" }},
		{"endpoint", func(r *logsv1.RequestLog) { r.Endpoint = "/\x00" }},
		{"status", func(r *logsv1.RequestLog) { r.Status = 99 }},
		{"status", func(r *logsv1.RequestLog) { r.Status = -1 }},
		{"error_code", func(r *logsv1.RequestLog) { r.ErrorCode = "nope" }},
		{"latency_ms", func(r *logsv1.RequestLog) { r.LatencyMs = -0.001 }},
		{"latency_ms", func(r *logsv1.RequestLog) { r.LatencyMs = math.NaN() }},
		{"latency_ms", func(r *logsv1.RequestLog) { r.LatencyMs = math.Inf(1) }},
		{"repeated", func(r *logsv1.RequestLog) { r.Repeated = -1 }},
	}
	batch := &logsv1.RecordRequestLogsRequest{}
	for _, b := range breaks {
		bad := row()
		b.change(bad)
		batch.RequestLogs = append(batch.RequestLogs, row(), bad)
	}
	answer, err := logs.RecordRequestLogs(t.Context(), batch)
	must(t, err)
	if len(answer.GetRefused()) != len(breaks) {
		t.Fatalf("refused %d rows of %d bad ones: %v", len(answer.GetRefused()), len(breaks), answer)
	}
	for i, refused := range answer.GetRefused() {
		bad := 2*i + 1
		if int(refused.GetIndex()) != bad || refused.GetId() != batch.GetRequestLogs()[bad].GetId() ||
			!strings.HasPrefix(refused.GetReason(), breaks[i].field+": ") {
			t.Errorf("refused %v, want row %d for its %s", refused, bad, breaks[i].field)
		}
	}
	list, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: 1000})
	must(t, err)
	if len(list.GetRequestLogs()) != len(breaks) {
		t.Errorf("%d rows are stored, want the %d good ones", len(list.GetRequestLogs()), len(breaks))
	}
}

func TestBatchMustHoldBetweenOneAndFiveThousandRows(t *testing.T) {
	logs, _, _ := dial(t)
	for _, count := range []int{0, 5001} {
		_, err := logs.RecordRequestLogs(t.Context(), &logsv1.RecordRequestLogsRequest{RequestLogs: make([]*logsv1.RequestLog, count)})
		expectBad(t, err, "request_logs")
	}
}

func TestPurgeOverGRPCTellsHowMuchIsErased(t *testing.T) {
	logs, service, _ := dial(t)
	record(t, service, entryAt(noon), entryAt(noon))
	for _, want := range []int64{2, 0} {
		answer, err := logs.PurgeRequestLogs(t.Context(), &logsv1.PurgeRequestLogsRequest{WorkspaceId: "acme"})
		if err != nil || answer.GetPurgedCount() != want {
			t.Errorf("purged %d, %v; want %d", answer.GetPurgedCount(), err, want)
		}
	}
	_, err := logs.PurgeRequestLogs(t.Context(), &logsv1.PurgeRequestLogsRequest{})
	expectBad(t, err, "workspace_id")
}
