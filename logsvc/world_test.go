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

// clock stands still until it is moved.
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

// noon is where the clocks of the tests begin.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// newService makes a log service on a real store.
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

// entryAt is a finished row of acme.
func entryAt(at time.Time) logsvc.Entry {
	return logsvc.Entry{ID: uuid7.New(at), WorkspaceID: "acme", Method: "GET", Endpoint: "/v1", Status: 200,
		Latency: time.Millisecond, Reported: true, CallCount: 1}
}

// record records rows that must all be taken.
func record(t *testing.T, service *logsvc.Service, entries ...logsvc.Entry) {
	t.Helper()
	refused, err := service.Record(t.Context(), entries)
	must(t, err)
	if len(refused) != 0 {
		t.Fatalf("refused: %v", refused)
	}
}

// list answers the ids of a page.
func list(t *testing.T, service *logsvc.Service, search logsvc.Search) []uuid.UUID {
	t.Helper()
	search.WorkspaceID, search.Limit = "acme", 100
	page, _, err := service.List(t.Context(), search)
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
