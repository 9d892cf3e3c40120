package grpcapi

import (
	"math"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// validRow returns a row that follows every rule.
func validRow() *logsv1.RequestLog {
	return &logsv1.RequestLog{
		Id: "01890a5d-ac96-774b-bcce-b302099a8057", WorkspaceId: "acme", KeyId: "01890a5d-ac96-774b-bcce-b302099a8057",
		KeyName: "name", KeyLast4: "x7Qz", AgentType: "agent", AgentId: "a1", Method: "GET", Endpoint: "/v1", Status: 200, LatencyMs: new(1.0),
	}
}

// TestRulesEqualThoseOfTheContract tries every field of the contract but the time, which is ignored.
func TestRulesEqualThoseOfTheContract(t *testing.T) {
	contract, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{
		"", "a", "_", "-", "A", "é", "_unattributed", "a b", "a-b_c", "0", "-a", "agent", "expired", "expires", "x7Qz", "x7Qzé", "ééééé",
		strings.Repeat("a", 32), strings.Repeat("a", 33), strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 65),
		strings.Repeat("é", 100), strings.Repeat("é", 101), strings.Repeat("é", 255), strings.Repeat("é", 256),
		strings.Repeat("a", 255), strings.Repeat("a", 256), "a\n", "_0_", "quota_exceeded",
		strings.Repeat("a", 2048), strings.Repeat("a", 2049), strings.Repeat("é", 1025),
		"01890a5d-ac96-774b-bcce-b302099a8057", "01890A5D-AC96-774B-BCCE-B302099A8057", "01890a5dac96774bbcceb302099a8057",
		"{01890a5d-ac96-774b-bcce-b302099a8057}", "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a805g",
		"01890a5d_ac96_774b_bcce_b302099a8057",
	}
	tried, refused := map[string]int{}, map[string]int{}
	compare := func(field string, row *logsv1.RequestLog) {
		t.Helper()
		_, got := parseRecord(&logsv1.RequestLogRecord{RequestLog: row})
		want := contract.Validate(row)
		if (got == nil) != (want == nil) {
			t.Errorf("%s of %v: validate returned %v, protovalidate %v", field, row, got, want)
		}
		tried[field]++
		if got != nil {
			refused[field]++
		}
	}
	setters := map[string]func(*logsv1.RequestLog, string){
		"id":           func(r *logsv1.RequestLog, s string) { r.Id = s },
		"workspace_id": func(r *logsv1.RequestLog, s string) { r.WorkspaceId = s },
		"key_id":       func(r *logsv1.RequestLog, s string) { r.KeyId = s },
		"key_name":     func(r *logsv1.RequestLog, s string) { r.KeyName = s },
		"key_last4":    func(r *logsv1.RequestLog, s string) { r.KeyLast4 = s },
		"agent_type":   func(r *logsv1.RequestLog, s string) { r.AgentType = s },
		"agent_id":     func(r *logsv1.RequestLog, s string) { r.AgentId = s },
		"method":       func(r *logsv1.RequestLog, s string) { r.Method = s },
		"endpoint":     func(r *logsv1.RequestLog, s string) { r.Endpoint = s },
		"error_code":   func(r *logsv1.RequestLog, s string) { r.ErrorCode = s },
		"external_id":  func(r *logsv1.RequestLog, s string) { r.ExternalId = s },
		"cause":        func(r *logsv1.RequestLog, s string) { r.Cause = s },
	}
	for field, set := range setters {
		for _, text := range texts {
			row := proto.CloneOf(validRow())
			set(row, text)
			compare(field, row)
		}
	}
	for _, status := range []int32{-1, 0, 1, 99, 100, 200, 599, 600, math.MaxInt32} {
		row := validRow()
		row.Status = status
		compare("status", row)
	}
	for _, latency := range []float64{-1, -0.0001, 0, 0.001, 86_400_000, 86_400_000.1, math.Inf(1), math.Inf(-1), math.NaN()} {
		row := validRow()
		row.LatencyMs = &latency
		compare("latency_ms", row)
	}
	unreported := validRow()
	unreported.LatencyMs = nil
	compare("latency_ms", unreported)
	for _, count := range []int32{math.MinInt32, -1, 0, 1, 2, math.MaxInt32} {
		row := validRow()
		row.CallCount = count
		compare("call_count", row)
	}
	fields := validRow().ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := string(fields.Get(i).Name())
		if field != "time" && (refused[field] == 0 || refused[field] == tried[field]) {
			t.Errorf("%s: %d of %d values refused: the test shows nothing", field, refused[field], tried[field])
		}
	}
}
