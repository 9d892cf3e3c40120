package logsvc_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/sqlite"
)

// clock is a clock that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// noon is the start time of the test clocks.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// all is a range without bounds.
var all = logsvc.TimeRange(time.Time{}, time.Time{})

// newService returns a log service on SQLite.
func newService(t *testing.T) (*logsvc.Service, *clock) {
	t.Helper()
	clock := &clock{now: noon}
	return logsvc.NewService(openStore(t), config(clock.Now)), clock
}

func openStore(t *testing.T) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "logs.db"))
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

func config(now func() time.Time) logsvc.Config {
	return logsvc.Config{Retention: logsvc.DefaultRetention, SearchBudget: time.Minute, Now: now}
}

// entryAt returns a reported call of acme.
func entryAt(at time.Time) logsvc.Entry {
	return logsvc.Entry{ID: uuid7.New(at), WorkspaceID: "acme", Method: "GET", Endpoint: "/v1", Status: 200,
		Latency: time.Millisecond, Reported: true, CallCount: 1}
}

// record records rows, all of which must be accepted.
func record(t *testing.T, service *logsvc.Service, entries ...logsvc.Entry) {
	t.Helper()
	rejected, err := service.Record(t.Context(), entries)
	must(t, err)
	if len(rejected) != 0 {
		t.Fatalf("rejected: %v", rejected)
	}
}

// list returns the ids of all entries of acme.
func list(t *testing.T, service *logsvc.Service) []uuid.UUID {
	t.Helper()
	page, _, err := service.List(t.Context(), logsvc.Query{WorkspaceID: "acme", Range: all, Limit: 100})
	must(t, err)
	ids := []uuid.UUID{}
	for _, e := range page.Entries {
		ids = append(ids, e.ID)
	}
	return ids
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
