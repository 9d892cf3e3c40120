package trail

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/trail/wal"
)

// newRecord returns the record that is written for an entry.
func newRecord(e authsvc.Entry) *logsv1.RequestLogRecord { return new(encoder).convert(&e) }

func fullEntry() authsvc.Entry {
	return authsvc.Entry{
		ID: uuid7.New(time.Now()), WorkspaceID: "acme", KeyID: uuid.New(), KeyName: "ключ", KeyLast4: "a1B2", ExternalID: "tenant 7",
		AgentType: "agent", AgentID: "support", Method: "POST", Endpoint: "/v1/%FF", Status: 599, ErrorCode: authsvc.AgentDenied,
		Cause: authsvc.NoAgent, Reported: true, Latency: 12_345_678 * time.Microsecond, CallCount: 1 << 30, FromReport: true,
	}
}

func TestRecordHoldsTheEntry(t *testing.T) {
	enc := &encoder{} // the same for all: nothing may remain of the entry before
	full := fullEntry()
	want := &logsv1.RequestLogRecord{FromReport: true, RequestLog: &logsv1.RequestLog{
		Id: full.ID.String(), WorkspaceId: "acme", KeyId: full.KeyID.String(), KeyName: "ключ", KeyLast4: "a1B2", ExternalId: "tenant 7",
		AgentType: "agent", AgentId: "support", Method: "POST", Endpoint: "/v1/%FF", Status: 599, ErrorCode: "agent_denied",
		Cause: string(authsvc.NoAgent), LatencyMs: proto.Float64(12345.678), CallCount: 1 << 30,
	}}
	long, instant, notReported := full, full, full
	long.Endpoint = strings.Repeat("e", wal.MaxRecord-1000)
	instant.Latency = 0
	notReported.Reported = false // the latency of an entry that was not reported means nothing
	change := func(f func(row *logsv1.RequestLog)) *logsv1.RequestLogRecord {
		changed := proto.CloneOf(want)
		f(changed.GetRequestLog())
		return changed
	}
	for name, tt := range map[string]struct {
		entry authsvc.Entry
		want  *logsv1.RequestLogRecord
	}{
		"full":  {full, want},
		"long":  {long, change(func(row *logsv1.RequestLog) { row.Endpoint = long.Endpoint })},
		"empty": {authsvc.Entry{}, &logsv1.RequestLogRecord{RequestLog: &logsv1.RequestLog{Id: uuid.Nil.String()}}},
		"in progress": {
			authsvc.Entry{ID: full.ID, WorkspaceID: "acme", CallCount: 1},
			&logsv1.RequestLogRecord{RequestLog: &logsv1.RequestLog{Id: full.ID.String(), WorkspaceId: "acme", CallCount: 1}},
		},
		"reported with no latency at all": {instant, change(func(row *logsv1.RequestLog) { row.LatencyMs = proto.Float64(0) })},
		"not reported":                    {notReported, change(func(row *logsv1.RequestLog) { row.LatencyMs = nil })},
	} {
		t.Run(name, func(t *testing.T) {
			got := make([]*logsv1.RequestLogRecord, 2)
			records, err := enc.encode([]authsvc.Entry{full, tt.entry})
			if err != nil {
				t.Fatal(err)
			}
			for i, record := range records {
				if got[i], err = parseRecord(record); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff([]*logsv1.RequestLogRecord{want, tt.want}, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEveryFieldOfTheContractIsCompared fails when the contract has a field that newRecord does not fill.
func TestEveryFieldOfTheContractIsCompared(t *testing.T) {
	record := newRecord(fullEntry())
	for _, m := range []proto.Message{record, record.GetRequestLog()} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if f := fields.Get(i); !m.ProtoReflect().Has(f) && f.FullName() != "keytrail.logs.v1.RequestLog.time" {
				t.Errorf("the full entry does not fill %s", f.FullName())
			}
		}
	}
}
