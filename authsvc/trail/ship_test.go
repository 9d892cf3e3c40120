package trail

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

func TestFoldMakesOneRowOfACall(t *testing.T) {
	rows := calls(3)
	a, b, c := rows[0], rows[1], rows[2]
	failed := finished(a)
	failed.Status = 500
	counted := func(calls int) authsvc.Entry {
		row := failed
		row.Repeated = calls
		return row
	}
	for name, tt := range map[string]struct{ batch, want []authsvc.Entry }{
		"nothing":                           {nil, nil},
		"calls of their own":                {[]authsvc.Entry{a, b, c}, []authsvc.Entry{a, b, c}},
		"progress, then the end":            {[]authsvc.Entry{a, b, finished(a)}, []authsvc.Entry{finished(a), b}},
		"the end, then progress":            {[]authsvc.Entry{finished(a), b, a}, []authsvc.Entry{finished(a), b}},
		"progress twice":                    {[]authsvc.Entry{a, a}, []authsvc.Entry{a}},
		"two ends: the first one stays":     {[]authsvc.Entry{a, failed, finished(a)}, []authsvc.Entry{failed}},
		"a denial, which is finished alone": {[]authsvc.Entry{failed}, []authsvc.Entry{failed}},
		"counts: the largest one":           {[]authsvc.Entry{counted(2), b, counted(3), counted(1)}, []authsvc.Entry{counted(3), b}},
	} {
		if diff := cmp.Diff(append([]authsvc.Entry{}, tt.want...), fold(tt.batch)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestBatchOfTheLongestRowsFitsAMessage holds batchRows against the bounds that the contract gives every field.
func TestBatchOfTheLongestRowsFitsAMessage(t *testing.T) {
	row := authsvc.Entry{
		ID: calls(1)[0].ID, WorkspaceID: strings.Repeat("w", 63), KeyID: uuid7.New(uuid7.Time(calls(1)[0].ID)),
		KeyName: strings.Repeat("🙂", 100), KeyLast4: "abcd", AgentType: strings.Repeat("t", 63),
		AgentID: strings.Repeat("🙂", 255), Method: strings.Repeat("M", 32), Endpoint: strings.Repeat("e", 2048),
		Status: 599, ErrorCode: authsvc.MissingToken, Latency: 86_399_999_999_000,
	}.Proto()
	request := &logsv1.RecordRequestLogsRequest{}
	for range batchRows {
		request.RequestLogs = append(request.RequestLogs, row)
	}
	if size := proto.Size(request); size > 4<<20 {
		t.Errorf("a batch can take %d bytes; a gRPC message holds %d", size, 4<<20)
	}
}
