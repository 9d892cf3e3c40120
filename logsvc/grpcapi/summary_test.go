package grpcapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// summaryFixture has calls of three hours, of two keys.
func summaryFixture(t *testing.T) (f *fixture, keys [2]uuid.UUID) {
	f = newFixture(t)
	keys = [2]uuid.UUID{uuid7.New(noon), uuid7.New(noon)}
	for i, c := range []struct {
		ago     time.Duration
		key     int
		status  int
		code    string
		latency time.Duration
		calls   int
	}{
		{1 * time.Minute, 0, 0, "", 0, 1},
		{2 * time.Minute, 0, 200, "", 10 * time.Millisecond, 1},
		{62 * time.Minute, 1, 200, "", 20 * time.Millisecond, 1},
		{63 * time.Minute, 1, 200, "", 40 * time.Millisecond, 1},
		{64 * time.Minute, 0, 302, "", 5 * time.Millisecond, 1},
		{122 * time.Minute, 0, 401, "expired", 0, 7},
		{123 * time.Minute, 0, 401, "disabled", 0, 1},
		{124 * time.Minute, 1, 503, "", time.Second, 1},
		{125 * time.Minute, 1, 101, "", time.Second, 1},
	} {
		e := entryAt(noon.Add(-c.ago))
		e.KeyID, e.KeyName, e.KeyLast4 = keys[c.key], fmt.Sprint("name ", i), "abcd"
		e.Status, e.ErrorCode, e.Latency, e.Reported, e.CallCount = c.status, c.code, c.latency, c.latency > 0, c.calls
		f.record(t, e)
	}
	return f, keys
}

// described is a bucket in short: when it begins, from noon, its counts and the estimate of its median.
func described(b *logsv1.SummaryBucket) string {
	text := b.GetStartTime().AsTime().Sub(noon).String()
	for _, c := range b.GetCounts() {
		text += fmt.Sprintf(" %s", strings.TrimSpace(fmt.Sprint(c.GetCallCount(), "x", c.GetStatusClass(), " ", c.GetErrorCode())))
	}
	if b.Latency != nil {
		text += fmt.Sprintf(", %.0f ms", b.Latency.P50Ms)
	}
	return text
}

func summarize(t *testing.T, logs *fixture, req *logsv1.SummarizeRequestLogsRequest) (buckets []string, total string) {
	t.Helper()
	req.WorkspaceId = "acme"
	resp, err := logs.SummarizeRequestLogs(t.Context(), req)
	must(t, err)
	for _, b := range resp.GetBuckets() {
		buckets = append(buckets, described(b))
	}
	if start := resp.GetTotal().GetStartTime(); !resp.GetComplete() || !start.AsTime().Equal(resp.GetSearchedTo().AsTime()) {
		t.Errorf("complete is %t, the total begins at %v, searched to %v", resp.GetComplete(), start, resp.GetSearchedTo())
	}
	resp.Total.StartTime = timestamppb.New(noon)
	return buckets, described(resp.Total)
}

func TestSummaryHasBucketsOfHours(t *testing.T) {
	logs, keys := summaryFixture(t)
	for name, tt := range map[string]struct {
		request *logsv1.SummarizeRequestLogsRequest
		buckets []string
		total   string
	}{
		"everything": {
			&logsv1.SummarizeRequestLogsRequest{},
			[]string{
				"-3h0m0s 1x1xx 1x4xx disabled 7x4xx expired 1x5xx, 962 ms", "-2h0m0s 2x2xx 1x3xx, 21 ms",
				"-1h0m0s 1xin_progress 1x2xx, 11 ms",
			},
			"0s 1xin_progress 1x1xx 3x2xx 1x3xx 1x4xx disabled 7x4xx expired 1x5xx, 21 ms",
		},
		"buckets of 6 hours": {
			&logsv1.SummarizeRequestLogsRequest{Bucket: durationpb.New(6 * time.Hour)},
			[]string{"-6h0m0s 1xin_progress 1x1xx 3x2xx 1x3xx 1x4xx disabled 7x4xx expired 1x5xx, 21 ms"},
			"0s 1xin_progress 1x1xx 3x2xx 1x3xx 1x4xx disabled 7x4xx expired 1x5xx, 21 ms",
		},
		"times within the hours": {
			&logsv1.SummarizeRequestLogsRequest{
				StartTime: timestamppb.New(noon.Add(-123 * time.Minute)),
				EndTime:   timestamppb.New(noon.Add(-62*time.Minute + time.Millisecond)),
			},
			[]string{"-3h0m0s 1x4xx disabled 7x4xx expired", "-2h0m0s 2x2xx 1x3xx, 21 ms"},
			"0s 2x2xx 1x3xx 1x4xx disabled 7x4xx expired, 21 ms",
		},
		"the next milliseconds": {
			&logsv1.SummarizeRequestLogsRequest{
				StartTime: timestamppb.New(noon.Add(-123*time.Minute + time.Millisecond)),
				EndTime:   timestamppb.New(noon.Add(-62 * time.Minute)),
			},
			[]string{"-3h0m0s 7x4xx expired", "-2h0m0s 1x2xx 1x3xx, 5 ms"},
			"0s 1x2xx 1x3xx 7x4xx expired, 5 ms",
		},
		"a key": {
			&logsv1.SummarizeRequestLogsRequest{KeyId: keys[1].String()},
			[]string{"-3h0m0s 1x1xx 1x5xx, 962 ms", "-2h0m0s 2x2xx, 21 ms"}, "0s 1x1xx 2x2xx 1x5xx, 42 ms",
		},
		"a class": {
			&logsv1.SummarizeRequestLogsRequest{StatusClass: "4xx"},
			[]string{"-3h0m0s 1x4xx disabled 7x4xx expired"}, "0s 1x4xx disabled 7x4xx expired",
		},
		"in progress": {
			&logsv1.SummarizeRequestLogsRequest{StatusClass: "in_progress"}, []string{"-1h0m0s 1xin_progress"}, "0s 1xin_progress",
		},
		"a code": {
			&logsv1.SummarizeRequestLogsRequest{ErrorCode: "expired"}, []string{"-3h0m0s 7x4xx expired"}, "0s 7x4xx expired",
		},
		"a method": {
			&logsv1.SummarizeRequestLogsRequest{Method: "GET", StatusClass: "2xx"},
			[]string{"-2h0m0s 2x2xx, 21 ms", "-1h0m0s 1x2xx, 11 ms"}, "0s 3x2xx, 21 ms",
		},
		"nothing": {&logsv1.SummarizeRequestLogsRequest{Endpoint: "nowhere"}, nil, "0s"},
	} {
		buckets, total := summarize(t, logs, tt.request)
		if diff := cmp.Diff(tt.buckets, buckets); diff != "" || total != tt.total {
			t.Errorf("%s: in total %s, want %s; buckets (-want +got):\n%s", name, total, tt.total, diff)
		}
	}
}

func TestSummaryHasPercentiles(t *testing.T) {
	logs := newFixture(t)
	for i := range 100 {
		e := entryAt(noon)
		e.Latency = time.Duration(i+1) * 10 * time.Millisecond
		logs.record(t, e)
	}
	resp, err := logs.SummarizeRequestLogs(t.Context(), &logsv1.SummarizeRequestLogsRequest{WorkspaceId: "acme"})
	must(t, err)
	want := &logsv1.LatencyPercentiles{P50Ms: 500, P95Ms: 950, P99Ms: 990}
	if diff := cmp.Diff(want, resp.GetTotal().GetLatency(), protocmp.Transform(), cmpopts.EquateApprox(0.1, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBucketIsAMultipleOfAnHour(t *testing.T) {
	logs := newFixture(t)
	for _, bucket := range []*durationpb.Duration{
		durationpb.New(0), durationpb.New(-time.Hour), durationpb.New(90 * time.Minute),
		durationpb.New(logsvc.DefaultRetention + time.Hour),
		{Seconds: 1 << 60}, {Seconds: 3600, Nanos: -1},
	} {
		_, err := logs.SummarizeRequestLogs(t.Context(), &logsv1.SummarizeRequestLogsRequest{WorkspaceId: "acme", Bucket: bucket})
		expectInvalid(t, err, "bucket")
	}
	_, err := logs.SummarizeRequestLogs(t.Context(), &logsv1.SummarizeRequestLogsRequest{
		WorkspaceId: "acme", Bucket: durationpb.New(logsvc.DefaultRetention),
	})
	must(t, err)
}

func TestSummaryCountsNothingOutsideTheRetention(t *testing.T) {
	logs, _ := summaryFixture(t)
	later := noon.Add(logsvc.DefaultRetention - 122*time.Minute)
	logs.clock.Store(&later)
	_, total := summarize(t, logs, &logsv1.SummarizeRequestLogsRequest{})
	if want := "0s 1xin_progress 3x2xx 1x3xx, 11 ms"; total != want {
		t.Errorf("in total %s, want %s", total, want)
	}
	keys, err := logs.ListLogKeys(t.Context(), &logsv1.ListLogKeysRequest{WorkspaceId: "acme"})
	must(t, err)
	for _, k := range keys.GetKeys() {
		if first := k.GetFirstUseTime().AsTime().Sub(noon); first < -64*time.Minute {
			t.Errorf("the key %s was first used %v from noon", k.GetKeyId(), first)
		}
	}
}

// TestSummaryWithoutTimeSaysHowFarItCame has more rows than a summary holds at once.
func TestSummaryWithoutTimeSaysHowFarItCame(t *testing.T) {
	logs := newFixture(t)
	const rows = 11_000
	var entries []logsvc.Entry
	for i := range rows {
		entries = append(entries, entryAt(noon.Add(-time.Duration(i)*time.Second)))
	}
	logs.record(t, entries...)
	service := logsvc.NewService(logs.store, logsvc.Config{
		Retention: logsvc.DefaultRetention, SearchBudget: time.Nanosecond, Now: func() time.Time { return noon },
	})
	hasty := logsv1.NewLogServiceClient(serveOver(t, service))
	for _, c := range []struct {
		name, method string
		logs         logsv1.LogServiceClient
	}{{"without a filter", "", hasty}, {"with time", "GET", logs}} {
		whole, err := c.logs.SummarizeRequestLogs(t.Context(), &logsv1.SummarizeRequestLogsRequest{
			WorkspaceId: "acme", Method: c.method,
		})
		must(t, err)
		if calls := whole.GetTotal().GetCounts()[0].GetCallCount(); calls != rows || !whole.GetComplete() {
			t.Errorf("%s it counts %d of %d, complete: %t", c.name, calls, rows, whole.GetComplete())
		}
	}
	part, err := hasty.SummarizeRequestLogs(t.Context(), &logsv1.SummarizeRequestLogsRequest{WorkspaceId: "acme", Method: "GET"})
	must(t, err)
	searched := int64(0)
	for _, e := range entries {
		if !e.Time().Before(part.GetSearchedTo().AsTime()) {
			searched++
		}
	}
	if calls := part.GetTotal().GetCounts()[0].GetCallCount(); part.GetComplete() || searched == rows ||
		calls < searched || calls > searched+1 {
		t.Errorf("it counts %d of %d, complete: %t", calls, searched, part.GetComplete())
	}
}
