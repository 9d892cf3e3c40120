package trail

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// BenchmarkAppend measures what a check pays for its row; -cpu 2 runs two writers.
func BenchmarkAppend(b *testing.B) {
	trail, err := Open(Config{
		Dir: b.TempDir(), MaxBytes: 1 << 40, Fsync: 100 * time.Millisecond,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		row := authsvc.Entry{
			ID: uuid7.New(time.Now()), WorkspaceID: "acme", KeyID: uuid7.New(time.Now()), KeyName: "production", KeyLast4: "x7Qa",
			AgentType: "data_agent", AgentID: "7c0e5a4e-2f0b-4c57-9a35-0e6a4f6d2b11", Method: "POST",
			Endpoint: "/v1/agents/7c0e5a4e/runs/42/messages", Status: 200, Reported: true, Latency: 12_345 * time.Microsecond,
		}
		for pb.Next() {
			if err := trail.Append(b.Context(), row); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	if err := trail.Close(); err != nil {
		b.Fatal(err)
	}
}
