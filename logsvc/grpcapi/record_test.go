package grpcapi_test

import (
	"math"
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

func TestRowIsReturnedAsItWasRecorded(t *testing.T) {
	logs := newFixture(t)
	want := row()
	sent := proto.CloneOf(want)
	sent.Time = timestamppb.New(noon.AddDate(-1, 0, 0)) // ignored: the time is the id's
	resp, err := logs.RecordRequestLogs(t.Context(), batch(sent))
	must(t, err)
	if len(resp.GetRefused()) != 0 {
		t.Fatalf("refused: %v", resp)
	}
	if diff := cmp.Diff(want, logs.get(t, want.GetId()), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err = logs.GetRequestLog(t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: "globex", RequestLogId: want.GetId()})
	if status.Code(err) != codes.NotFound {
		t.Errorf("the row in another workspace: %v, want NOT_FOUND", err)
	}
}

func TestLatencyIsUnsetUntilTheCallIsReported(t *testing.T) {
	logs := newFixture(t)
	denied := row()
	denied.LatencyMs = nil
	_, err := logs.RecordRequestLogs(t.Context(), batch(denied))
	must(t, err)
	if got := logs.get(t, denied.GetId()); got.LatencyMs != nil || got.GetStatus() != 403 {
		t.Errorf("a denial without a report has the latency %v", got)
	}
	reported := proto.CloneOf(denied)
	reported.Status, reported.LatencyMs = 404, new(0.0)
	_, err = logs.RecordRequestLogs(t.Context(), batch(reported))
	must(t, err)
	if got := logs.get(t, denied.GetId()); got.LatencyMs == nil || got.GetLatencyMs() != 0 || got.GetStatus() != 404 || got.GetErrorCode() != "scope_denied" {
		t.Errorf("after a report of 0 ms the row is %v", got)
	}
}

func TestCheckReplacesTheDescriptionOfAReport(t *testing.T) {
	logs := newFixture(t)
	check := row()
	check.Status, check.ErrorCode, check.Cause, check.LatencyMs = 0, "", "", nil
	want := proto.CloneOf(check)
	want.Status, want.LatencyMs = 200, new(1.5)
	report := proto.CloneOf(want)
	report.Endpoint, report.ExternalId = "/v1", ""
	request := batch(report)
	request.Records[0].FromReport = true
	_, err := logs.RecordRequestLogs(t.Context(), request)
	must(t, err)
	if diff := cmp.Diff(report, logs.get(t, report.GetId()), protocmp.Transform()); diff != "" {
		t.Errorf("before the check's record (-want +got):\n%s", diff)
	}
	_, err = logs.RecordRequestLogs(t.Context(), batch(check))
	must(t, err)
	if diff := cmp.Diff(want, logs.get(t, report.GetId()), protocmp.Transform()); diff != "" {
		t.Errorf("after it (-want +got):\n%s", diff)
	}
}

func TestCallCountOfASharedRowIsTheMaximum(t *testing.T) {
	logs := newFixture(t)
	shared := row()
	for _, step := range []struct{ sent, want int32 }{{0, 1}, {0, 1}, {7, 7}, {3, 7}, {7, 7}, {math.MaxInt32, math.MaxInt32}, {1, math.MaxInt32}} {
		shared.CallCount = step.sent
		_, err := logs.RecordRequestLogs(t.Context(), batch(shared))
		must(t, err)
		if got := logs.get(t, shared.GetId()); got.GetCallCount() != step.want {
			t.Errorf("after %d the row stands for %d calls, want %d", step.sent, got.GetCallCount(), step.want)
		}
	}
}

func TestRecordWithoutARowIsRefused(t *testing.T) {
	logs := newFixture(t)
	request := batch(row(), nil, row())
	resp, err := logs.RecordRequestLogs(t.Context(), request)
	must(t, err)
	want := []*logsv1.RefusedRequestLog{{Index: 1, Reason: "malformed", Message: "request_log: must be set"}}
	if diff := cmp.Diff(want, resp.GetRefused(), protocmp.Transform()); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	logs.get(t, request.GetRecords()[2].GetRequestLog().GetId())
}

func TestInvalidRowsAreRefusedOneByOne(t *testing.T) {
	logs := newFixture(t)
	invalid := []struct {
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
		{"agent_id", func(r *logsv1.RequestLog) { r.AgentId = "\x00" }},
		{"external_id", func(r *logsv1.RequestLog) { r.ExternalId = strings.Repeat("x", 256) }},
		{"external_id", func(r *logsv1.RequestLog) { r.ExternalId = "\x00" }},
		{"method", func(r *logsv1.RequestLog) { r.Method = strings.Repeat("M", 33) }},
		{"endpoint", func(r *logsv1.RequestLog) { r.Endpoint = strings.Repeat("e", 2049) }},
		{"endpoint", func(r *logsv1.RequestLog) { r.Endpoint = "/\x00" }},
		{"status", func(r *logsv1.RequestLog) { r.Status = 99 }},
		{"status", func(r *logsv1.RequestLog) { r.Status = -1 }},
		{"error_code", func(r *logsv1.RequestLog) { r.ErrorCode = "No" }},
		{"cause", func(r *logsv1.RequestLog) { r.Cause = "a cause" }},
		{"latency_ms", func(r *logsv1.RequestLog) { r.LatencyMs = new(-0.001) }},
		{"latency_ms", func(r *logsv1.RequestLog) { r.LatencyMs = new(math.NaN()) }},
		{"latency_ms", func(r *logsv1.RequestLog) { r.LatencyMs = new(math.Inf(1)) }},
		{"call_count", func(r *logsv1.RequestLog) { r.CallCount = -1 }},
	}
	var rows []*logsv1.RequestLog
	for _, b := range invalid {
		bad := row()
		b.change(bad)
		rows = append(rows, row(), bad)
	}
	resp, err := logs.RecordRequestLogs(t.Context(), batch(rows...))
	must(t, err)
	if len(resp.GetRefused()) != len(invalid) {
		t.Fatalf("refused %d of %d invalid rows: %v", len(resp.GetRefused()), len(invalid), resp)
	}
	for i, refused := range resp.GetRefused() {
		bad := 2*i + 1
		if int(refused.GetIndex()) != bad || refused.GetRequestLogId() != rows[bad].GetId() ||
			refused.GetReason() != "malformed" || !strings.HasPrefix(refused.GetMessage(), invalid[i].field+": ") {
			t.Errorf("refused %v, want row %d for its %s", refused, bad, invalid[i].field)
		}
	}
	list, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", PageSize: 1000})
	must(t, err)
	if len(list.GetRequestLogs()) != len(invalid) {
		t.Errorf("%d rows are stored, want the %d good ones", len(list.GetRequestLogs()), len(invalid))
	}
}

func TestBatchMustHaveOneAndFiveThousandRows(t *testing.T) {
	logs := newFixture(t)
	for _, count := range []int{0, 5001} {
		_, err := logs.RecordRequestLogs(t.Context(), batch(make([]*logsv1.RequestLog, count)...))
		expectInvalid(t, err, "records")
	}
}

func TestPurgeOverGRPCReturnsTheCount(t *testing.T) {
	logs := newFixture(t)
	logs.record(t, entryAt(noon), entryAt(noon))
	end := timestamppb.New(noon.Add(time.Millisecond))
	for _, tt := range []struct {
		end  *timestamppb.Timestamp
		want *logsv1.PurgeRequestLogsResponse
	}{
		{timestamppb.New(noon), &logsv1.PurgeRequestLogsResponse{Complete: true, EndTime: timestamppb.New(noon)}},
		{nil, &logsv1.PurgeRequestLogsResponse{PurgedCount: 2, Complete: true, EndTime: end}},
		{end, &logsv1.PurgeRequestLogsResponse{Complete: true, EndTime: end}},
		{nil, &logsv1.PurgeRequestLogsResponse{Complete: true}},
	} {
		resp, err := logs.PurgeRequestLogs(t.Context(), &logsv1.PurgeRequestLogsRequest{WorkspaceId: "acme", EndTime: tt.end})
		if diff := cmp.Diff(tt.want, resp, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("purged up to %v: %v (-want +got):\n%s", tt.end, err, diff)
		}
	}
	_, err := logs.PurgeRequestLogs(t.Context(), &logsv1.PurgeRequestLogsRequest{})
	expectInvalid(t, err, "workspace_id")
}

func TestRefusedRowsAreCountedByReason(t *testing.T) {
	logs := newFixture(t)
	at := func(when time.Time) *logsv1.RequestLog {
		r := row()
		r.Id = uuid7.New(when).String()
		return r
	}
	bad := row()
	bad.Method = "\x00"
	resp, err := logs.RecordRequestLogs(t.Context(), batch(row(), at(noon.AddDate(-1, 0, 0)), at(noon.AddDate(0, 0, -40)), at(noon.AddDate(0, 0, 2)), bad))
	must(t, err)
	want := map[logsvc.RejectReason]int64{logsvc.TooOld: 2, logsvc.TooNew: 1, logsvc.Malformed: 1}
	if diff := cmp.Diff(want, logs.service.Rejected()); diff != "" || len(resp.GetRefused()) != 4 {
		t.Errorf("refused %v (-want +got):\n%s", resp.GetRefused(), diff)
	}
}
