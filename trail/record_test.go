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
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/trail/wal"
)

// recordOf is the record that appendRecord must write of an entry.
func recordOf(e authsvc.Entry) *logsv1.RequestLogRecord {
	row := &logsv1.RequestLog{
		Id: e.ID.String(), WorkspaceId: e.WorkspaceID, KeyId: wire.ID(e.KeyID), KeyName: e.KeyName, KeyLast4: e.KeyLast4,
		ExternalId: e.ExternalID, AgentType: e.AgentType, AgentId: e.AgentID, Method: e.Method, Endpoint: e.Endpoint,
		Status: int32(e.Status), ErrorCode: string(e.ErrorCode), Cause: string(e.Cause), CallCount: int32(e.CallCount),
	}
	if e.Reported {
		row.LatencyMs = proto.Float64(wire.Latency(e.Latency))
	}
	return &logsv1.RequestLogRecord{RequestLog: row, FromReport: e.FromReport}
}

func fullEntry() authsvc.Entry {
	return authsvc.Entry{
		ID: uuid7.New(time.Now()), WorkspaceID: "acme", KeyID: uuid.New(), KeyName: "ключ", KeyLast4: "a1B2", ExternalID: "tenant 7",
		AgentType: "agent", AgentID: "support", Method: "POST", Endpoint: "/v1/%FF", Status: 599, ErrorCode: authsvc.AgentDenied,
		Cause: authsvc.NoAgent, Reported: true, Latency: 12_345_678 * time.Microsecond, CallCount: 1 << 30, FromReport: true,
	}
}

func TestRecordIsTheRecordOfTheContract(t *testing.T) {
	full := fullEntry()
	long, instant, lateReport := full, full, full
	long.Endpoint = strings.Repeat("e", wal.MaxRecord-1000)
	instant.Latency = 0
	lateReport.Reported = false // the latency of an entry that was not reported means nothing
	for name, entry := range map[string]authsvc.Entry{
		"full": full, "long": long, "empty": {}, "in progress": {ID: full.ID, WorkspaceID: "acme", CallCount: 1},
		"reported with no latency at all": instant, "not reported": lateReport,
	} {
		t.Run(name, func(t *testing.T) {
			want, got := recordOf(entry), &logsv1.RequestLogRecord{}
			written := appendRecord([]byte("before"), &entry)
			if err := proto.Unmarshal(written[len("before"):], got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEveryFieldOfTheContractIsCompared fails when the contract has a field that the full entry lacks: it must be written
// too.
func TestEveryFieldOfTheContractIsCompared(t *testing.T) {
	record := recordOf(fullEntry())
	for _, m := range []proto.Message{record, record.GetRequestLog()} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if f := fields.Get(i); !m.ProtoReflect().Has(f) && f.FullName() != "keytrail.logs.v1.RequestLog.time" {
				t.Errorf("the full entry does not fill %s", f.FullName())
			}
		}
	}
}
