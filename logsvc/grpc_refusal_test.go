package logsvc_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

func TestRefusedRowsAreCountedByWhy(t *testing.T) {
	logs, service, _ := dial(t)
	change := func(do func(*logsv1.RequestLog)) *logsv1.RequestLog {
		changed := proto.CloneOf(row())
		do(changed)
		return changed
	}
	at := func(when time.Time) *logsv1.RequestLog {
		return change(func(r *logsv1.RequestLog) { r.Id = uuid7.New(when).String() })
	}
	rows := []*logsv1.RequestLog{
		row(), at(noon.AddDate(-1, 0, 0)), at(noon.AddDate(0, 0, -40)), at(noon.AddDate(0, 0, 2)),
		change(func(r *logsv1.RequestLog) { r.Method = "\x00" }),
	}
	answer, err := logs.RecordRequestLogs(t.Context(), batch(rows...))
	must(t, err)
	want := map[logsvc.Refusal]int64{logsvc.TooOld: 2, logsvc.TooNew: 1, logsvc.Malformed: 1}
	if diff := cmp.Diff(want, service.Refused()); diff != "" || len(answer.GetRefused()) != 4 {
		t.Errorf("refused %v (-want +got):\n%s", answer.GetRefused(), diff)
	}
}
