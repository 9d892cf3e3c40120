package trail

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// checkRecord returns the record of a check, in progress, whose texts contain name.
func checkRecord(name string) *logsv1.RequestLogRecord {
	return &logsv1.RequestLogRecord{RequestLog: &logsv1.RequestLog{
		Id: "01890a5d-ac96-774b-bcce-b302099a8057", WorkspaceId: "acme", KeyId: "key of " + name, KeyName: "name of " + name,
		KeyLast4: "last4 of " + name, ExternalId: "owner of " + name, AgentType: "type of " + name, AgentId: "agent of " + name,
		Method: "method of " + name, Endpoint: "endpoint of " + name, CallCount: 1,
	}}
}

func denied(name string) *logsv1.RequestLogRecord {
	record := checkRecord(name)
	row := record.GetRequestLog()
	row.Status, row.ErrorCode, row.Cause = 403, "code of "+name, "cause of "+name
	return record
}

// reported returns the record of a report of a denied call. Allowed ones have no code and cause, and merge alike.
func reported(name string) *logsv1.RequestLogRecord {
	record := denied(name)
	record.FromReport = true
	record.GetRequestLog().Status, record.GetRequestLog().LatencyMs = 404, proto.Float64(0)
	return record
}

func merged(records ...*logsv1.RequestLogRecord) *logsv1.RequestLogRecord {
	var all *logsv1.RequestLogRecord
	for _, record := range records {
		if record = proto.CloneOf(record); all == nil {
			all = record
		} else {
			all = mergeRecords(all, record)
		}
	}
	return all
}

// TestMergeOfEveryPairOfRanks merges a first record, named a, with a second, named b.
func TestMergeOfEveryPairOfRanks(t *testing.T) {
	ranks := map[string]func(name string) *logsv1.RequestLogRecord{"in progress": checkRecord, "denied": denied, "reported": reported}
	for _, tt := range []struct{ first, second, description, outcome string }{
		{"in progress", "in progress", "a", "a"},
		{"in progress", "denied", "a", "b"},
		{"in progress", "reported", "a", "b"},
		{"denied", "in progress", "a", "a"},
		{"denied", "denied", "a", "a"},
		{"denied", "reported", "a", "b"},
		{"reported", "in progress", "b", "a"},
		{"reported", "denied", "b", "a"},
		{"reported", "reported", "a", "a"},
	} {
		t.Run(fmt.Sprintf("%s, then %s", tt.first, tt.second), func(t *testing.T) {
			a, b := ranks[tt.first]("a"), ranks[tt.second]("b")
			named := map[string]*logsv1.RequestLogRecord{"a": a, "b": b}
			want, outcome := checkRecord(tt.description), named[tt.outcome].GetRequestLog()
			want.FromReport = a.GetFromReport() && b.GetFromReport()
			row := want.GetRequestLog()
			row.Status, row.ErrorCode, row.Cause, row.LatencyMs = outcome.GetStatus(), outcome.GetErrorCode(), outcome.GetCause(), outcome.LatencyMs
			if diff := cmp.Diff(want, merged(a, b), protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeKeepsTheLargerCallCount(t *testing.T) {
	for _, tt := range []struct{ first, second, want int32 }{{1, 7, 7}, {7, 1, 7}, {0, 1, 1}, {0, 0, 0}} {
		a, b := denied("a"), denied("b")
		a.GetRequestLog().CallCount, b.GetRequestLog().CallCount = tt.first, tt.second
		if got := merged(a, b).GetRequestLog().GetCallCount(); got != tt.want {
			t.Errorf("%d and %d calls make %d, want %d", tt.first, tt.second, got, tt.want)
		}
	}
}

// TestMergeMayBeDoneInParts merges a row's records in one go, and in windows whose results are merged then, as the log
// service does it. A window may also arrive twice.
func TestMergeMayBeDoneInParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := 0
		record := rapid.Custom(func(t *rapid.T) *logsv1.RequestLogRecord {
			number++
			kind := rapid.SampledFrom([]func(string) *logsv1.RequestLogRecord{checkRecord, denied, reported}).Draw(t, "kind")
			record := kind(fmt.Sprint("record ", number))
			record.FromReport = rapid.Bool().Draw(t, "from report")
			record.GetRequestLog().CallCount = rapid.Int32Range(0, 5).Draw(t, "calls")
			return record
		})
		var all, windows []*logsv1.RequestLogRecord
		for _, window := range rapid.SliceOfN(rapid.SliceOfN(record, 1, 4), 1, 4).Draw(t, "windows") {
			all, windows = append(all, window...), append(windows, merged(window...))
		}
		want := merged(all...)
		if diff := cmp.Diff(want, merged(windows...), protocmp.Transform()); diff != "" {
			t.Fatalf("in one go, and in parts (-whole +parts):\n%s", diff)
		}
		again := rapid.SampledFrom(windows).Draw(t, "again")
		if diff := cmp.Diff(want, merged(append(windows, again)...), protocmp.Transform()); diff != "" {
			t.Fatalf("with one of them once more (-want +got):\n%s", diff)
		}
	})
}
