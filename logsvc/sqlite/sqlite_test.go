package sqlite

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/storetest"
)

func open(t testing.TB, path string) *Store {
	t.Helper()
	store, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func openNew(t testing.TB) *Store { return open(t, filepath.Join(t.TempDir(), "logs.db")) }

// openSmallChunks opens a store whose chunks are so small that a few rows cross every boundary.
func openSmallChunks(t testing.TB) *Store {
	store := openNew(t)
	store.searchChunk, store.deleteChunk = 8, 2
	return store
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) logsvc.Store { return openNew(t) })
}

func TestStoreInSmallChunks(t *testing.T) {
	t.Parallel()
	storetest.Test(t, func(t *testing.T) logsvc.Store { return openSmallChunks(t) })
}

// calls returns count calls of twenty keys, the newest first.
func calls(count int) []logsvc.Entry {
	entries := make([]logsvc.Entry, count)
	now := time.Now()
	keys := make([]uuid.UUID, 20)
	for i := range keys {
		keys[i] = uuid.New()
	}
	for i := range entries {
		entries[i] = logsvc.Entry{
			ID: uuid7.New(now.Add(-time.Duration(i) * time.Microsecond)), WorkspaceID: "acme", KeyID: keys[i%len(keys)],
			Endpoint: "/v1/agents/agent-1/calls", Status: 200, CallCount: 1,
		}
	}
	return entries
}

func record(t testing.TB, store *Store, entries ...logsvc.Entry) {
	t.Helper()
	if err := store.Record(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, store *Store, query logsvc.Query) logsvc.Page {
	t.Helper()
	query.WorkspaceID = "acme"
	if query.Range == (logsvc.Range{}) {
		query.Range.To = uuid.Max
	}
	page, err := store.List(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestEntriesSurviveReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder?", "..", "logs #1.db")
	store, want := open(t, path), calls(3)
	record(t, store, want...)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if got := list(t, open(t, path), logsvc.Query{Limit: 10}).Entries; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSearchStopsAfterTheChunkInWhichItsBudgetRanOut(t *testing.T) {
	store, entries := openSmallChunks(t), calls(10)
	record(t, store, entries...)
	page := list(t, store, logsvc.Query{Filter: logsvc.Filter{Endpoint: "nowhere"}, Limit: 10, Budget: 1})
	if want := entries[7].ID; page.SearchedTo != want {
		t.Errorf("SearchedTo = %s, want the eighth row, %s", page.SearchedTo, want)
	}
}

func TestPurgeDeletesOneChunkAtMost(t *testing.T) {
	store, entries := openSmallChunks(t), calls(3)
	record(t, store, entries...)
	for _, want := range []int64{2, 1, 0} {
		if got, err := store.Purge(t.Context(), "acme", uuid.Max); got != want || err != nil {
			t.Errorf("Purge = %d, %v, want %d", got, err, want)
		}
	}
}

func TestExpireIsExact(t *testing.T) {
	store, entries := openSmallChunks(t), calls(10)
	record(t, store, entries...)
	if err := store.Expire(t.Context(), entries[4].ID); err != nil {
		t.Fatal(err)
	}
	if got := list(t, store, logsvc.Query{Limit: 10}).Entries; !slices.Equal(got, entries[:5]) {
		t.Errorf("got %+v, want %+v", got, entries[:5])
	}
}

// TestEveryWalkFollowsAnIndex reads the plans: one that sorts, or reads other workspaces, has no bound.
func TestEveryWalkFollowsAnIndex(t *testing.T) {
	store := openNew(t)
	for _, filter := range []logsvc.Filter{
		{}, {StatusClass: 2}, {StatusClass: 4}, {ErrorCode: "expired"}, {KeyID: uuid.New(), StatusClass: 5}, {Endpoint: "x"},
	} {
		walk := newWalk("acme", filter)
		statement, args := walk.matches(logsvc.Range{}, 1)
		rows, err := store.db.Read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, args...)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id, parent, unused int
			var plan string
			if err := rows.Scan(&id, &parent, &unused, &plan); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(plan, "(workspace_id=? AND ") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("plan of %+v: %s", filter, plan)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzEndpointFilter(f *testing.F) {
	for _, seed := range [][2]string{
		{"/V1/Agents", "/v1/agents"}, {"%", "/a"}, {"_", "/a_b"}, {"\\", "/\\"}, {"'", "''"}, {"É", "/é"}, {"k", "/\u212a"},
		{"\x00", "/"}, {"\x00b", "a\x00B"}, {"a\x00", "a"}, {"", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	store, entry := openNew(f), calls(1)[0]
	f.Fuzz(func(t *testing.T, needle, endpoint string) {
		if !utf8.ValidString(needle) || !utf8.ValidString(endpoint) {
			t.Skip("neither can be anything but UTF-8")
		}
		entry.ID, entry.Endpoint = uuid7.New(time.Now()), endpoint
		record(t, store, entry)
		query := logsvc.Query{Filter: logsvc.Filter{Endpoint: needle}, Limit: 1, Range: logsvc.Range{From: entry.ID, To: uuid.Max}}
		got := list(t, store, query).Entries
		if want := storetest.Match(query.Filter, entry); (len(got) == 1) != want || want && got[0] != entry {
			t.Errorf("%q in %q: got %+v, want %t", needle, endpoint, got, want)
		}
	})
}
