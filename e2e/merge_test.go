package e2e

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/trail"
)

// recorder is a log service that keeps all records in order.
type recorder struct {
	logsv1.LogServiceClient
	mu      sync.Mutex
	records []*logsv1.RequestLogRecord
}

func (r *recorder) RecordRequestLogs(_ context.Context, request *logsv1.RecordRequestLogsRequest, _ ...grpc.CallOption) (*logsv1.RecordRequestLogsResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, request.GetRecords()...)
	return &logsv1.RecordRequestLogsResponse{}, nil
}

// anyRow returns a random record, including some that only a later release would write.
func anyRow(r *rand.Rand, id uuid.UUID) authsvc.Entry {
	row := authsvc.Entry{
		ID: id, WorkspaceID: "acme", Endpoint: []string{"/v1", "/v1/long", "/other"}[r.IntN(3)], KeyName: []string{"", "k"}[r.IntN(2)],
		Status: []int{0, 0, 200, 403, 500}[r.IntN(5)], CallCount: 1 + r.IntN(3), Reported: r.IntN(2) == 0, FromReport: r.IntN(2) == 0,
	}
	if row.Status == 403 {
		row.ErrorCode, row.Cause = "agent_denied", "no_agent"
	}
	if row.Reported {
		row.Latency = time.Duration(r.IntN(3)) * time.Millisecond
	}
	return row
}

// logged converts an entry of the auth service to one of the log service.
func logged(e authsvc.Entry) logsvc.Entry {
	return logsvc.Entry{
		ID: e.ID, WorkspaceID: e.WorkspaceID, KeyName: e.KeyName, Endpoint: e.Endpoint, Status: e.Status, ErrorCode: string(e.ErrorCode),
		Cause: string(e.Cause), Reported: e.Reported, Latency: e.Latency, CallCount: e.CallCount, FromReport: e.FromReport,
	}
}

// recorded converts a record to an entry of the log service.
func recorded(record *logsv1.RequestLogRecord) logsvc.Entry {
	row := record.GetRequestLog()
	keyID, _ := uuid.Parse(row.GetKeyId()) // rows without a key have none
	return logsvc.Entry{
		ID: uuid.MustParse(row.GetId()), WorkspaceID: row.GetWorkspaceId(),
		KeyID: keyID, KeyName: row.GetKeyName(), KeyLast4: row.GetKeyLast4(), ExternalID: row.GetExternalId(),
		AgentType: row.GetAgentType(), AgentID: row.GetAgentId(), Method: row.GetMethod(), Endpoint: row.GetEndpoint(),
		Status: int(row.GetStatus()), ErrorCode: row.GetErrorCode(), Cause: row.GetCause(), Reported: row.LatencyMs != nil,
		Latency: wire.ParseLatency(row.GetLatencyMs()), CallCount: int(row.GetCallCount()), FromReport: record.GetFromReport(),
	}
}

// TestTrailAndLogServiceMergeEqually compares the merge of the trail with the merge of the log service on random
// sequences.
func TestTrailAndLogServiceMergeEqually(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	random, logs := rand.New(rand.NewPCG(seed, 1)), &recorder{}
	tr, err := trail.Open(trail.Config{
		Dir: t.TempDir(), MaxBytes: trail.MinBytes, Fsync: time.Second, Client: logs, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	want, appended := map[uuid.UUID]logsvc.Entry{}, 0
	for range 500 {
		id := uuid7.New(time.Now())
		for range 1 + random.IntN(6) {
			row := anyRow(random, id)
			if err := tr.Append(t.Context(), row); err != nil {
				t.Fatal(err)
			}
			appended++
			if first, known := want[id]; known {
				want[id] = logsvc.Merge(first, logged(row))
			} else {
				want[id] = logged(row)
			}
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := tr.Run(ended); err != nil { // Run ships all rows before it returns
		t.Fatal(err)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[uuid.UUID]logsvc.Entry{}
	for _, record := range logs.records {
		e := recorded(record)
		if first, known := got[e.ID]; known {
			e = logsvc.Merge(first, e)
		}
		got[e.ID] = e
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-seed %d: the rows of %d records (-log service +trail):\n%s", seed, appended, diff)
	}
	if len(logs.records) == appended {
		t.Error("the trail merged no records")
	}
}
