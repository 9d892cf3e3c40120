package e2e

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// report reports a call, twice.
func (s *system) report(call checked) {
	s.t.Helper()
	for range 2 {
		answer, err := s.checks.Report(s.t.Context(), &authv1.ReportRequest{Outcomes: []*authv1.Outcome{call.outcome(201, 12.345)}})
		if err != nil || len(answer.GetRefused()) > 0 {
			s.t.Fatalf("report: %v, %v", answer, err)
		}
	}
}

// call checks a call in acme.
func (s *system) call(k key, endpoint string) checked {
	s.t.Helper()
	request := &authv1.CheckRequest{Endpoint: endpoint}
	answer := s.check(k, request)
	return checkedOf(request, "acme", answer)
}

// expectReported expects one row of a call, with the report.
func (s *system) expectReported(call checked) {
	s.t.Helper()
	s.row("acme", call.row.GetId(), reported)
	want := proto.CloneOf(call.row)
	want.Status, want.LatencyMs = 201, proto.Float64(12.345)
	rows := walk(s.t, s.logs, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", Endpoint: call.row.GetEndpoint()})
	if len(rows) != 1 || !proto.Equal(rows[0], want) {
		s.t.Errorf("the rows are %v, want only\n%v", rows, want)
	}
}

// TestReportsMayBeEarlyDuplicateRemoteOrLate has a replica whose rows are delayed: its log service is not running
// at first.
func TestReportsMayBeEarlyDuplicateRemoteOrLate(t *testing.T) {
	t.Parallel()
	for name, age := range map[string]time.Duration{"at once": 0, "after a day": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, missing := pgtest.Database(t, nil), stableAddr(t)
			cut, cutAuth := replica(t, url, replicaOptions{logsAddr: missing, now: func() time.Time { return time.Now().Add(-age) }})
			other, otherAuth := replica(t, url, replicaOptions{})
			k := other.createKey("acme", "k", nil)
			cut.awaitCode(k, "")

			// The reports go to the other replica, and their rows are stored before the row of the check.
			first := cut.call(k, "/reported-first")
			other.report(first)
			other.expectReported(first)
			both := cut.call(k, "/reported-on-both")
			cut.report(both)
			other.report(both)
			other.expectReported(both)
			logService(t, url, missing, cut.keyFile)
			awaitShipped(t, cutAuth.OpsAddr())
			other.expectReported(first)
			other.expectReported(both)

			// Reports after the row of the check.
			stored := cut.call(k, "/stored-first")
			if row := other.row("acme", stored.row.GetId(), exists); row["status"] != 0.0 {
				t.Errorf("before its report: %v", row)
			}
			other.report(stored)
			other.report(first)
			awaitShipped(t, otherAuth.OpsAddr())
			for _, call := range []checked{stored, first, both} {
				other.expectReported(call)
			}
		})
	}
}
