package e2e

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/trail"
)

// TestUnknownValuesPassThrough ships a row with an error code, a cause and an agent type that only a later release
// knows, and lists it by its error code.
func TestUnknownValuesPassThrough(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) *system{
		"SQLite":   func(t *testing.T) *system { return start(t, t.TempDir(), time.Now) },
		"Postgres": func(t *testing.T) *system { s, _ := replica(t, pgtest.Database(t, nil), replicaOptions{}); return s },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			later, err := trail.Open(trail.Config{
				Dir: t.TempDir(), MaxBytes: trail.MinBytes, Fsync: time.Second, Client: s.logs, Log: slog.New(slog.DiscardHandler),
				Metrics: prometheus.NewRegistry(),
			})
			if err != nil {
				t.Fatal(err)
			}
			row := authsvc.Entry{
				ID: uuid7.New(time.Now()), WorkspaceID: "acme", AgentType: "robot_2031", Endpoint: "/later", Status: 429,
				ErrorCode: "quota_exceeded", Cause: "monthly_quota", CallCount: 1,
			}
			if err := later.Append(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			running, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- later.Run(running) }()
			s.row("acme", row.ID.String(), exists)
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if err := later.Close(); err != nil {
				t.Fatal(err)
			}
			for filter, want := range map[string]int{"quota_exceeded": 1, "quota_exceeded_2": 0} {
				rows := s.list("acme", "?error_code="+filter)
				if len(rows) != want {
					t.Errorf("error_code=%s finds %v, want %d rows", filter, rows, want)
				}
				for _, found := range rows {
					if found["agentType"] != row.AgentType || found["errorCode"] != string(row.ErrorCode) || found["cause"] != string(row.Cause) {
						t.Errorf("the row became %v", found)
					}
				}
			}
			page, err := s.logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", StatusClass: "4xx"})
			if err != nil || len(page.GetRequestLogs()) != 1 || page.GetRetention().AsDuration() != 30*24*time.Hour {
				t.Errorf("the list of 4xx is %v, %v", page, err)
			}
		})
	}
}
