package sqlite

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
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
	store.viewRows, store.deleteRows, store.deleteBlocks = 8, 2, 2
	return store
}

// calls returns count calls of twenty keys, the newest first.
func calls(count int) []logsvc.Entry { return callsAt(time.Now(), count) }

func callsAt(newest time.Time, count int) []logsvc.Entry {
	entries := make([]logsvc.Entry, count)
	keys := make([]uuid.UUID, 20)
	for i := range keys {
		keys[i] = uuid.New()
	}
	for i := range entries {
		entries[i] = logsvc.Entry{
			ID: uuid7.New(newest.Add(-time.Duration(i) * time.Microsecond)), WorkspaceID: "acme", KeyID: keys[i%len(keys)],
			Endpoint: "/v1/agents/agent-1/calls", Status: 200, CallCount: 1,
		}
	}
	return entries
}

func record(t testing.TB, store *Store, entries ...logsvc.Entry) {
	t.Helper()
	must(t, store.Record(t.Context(), entries))
}

// sealed returns a block of the entries, newest first, whose summary and data are only text: stores do not read them.
func sealed(entries ...logsvc.Entry) logsvc.SealedBlock {
	return logsvc.SealedBlock{
		Block: logsvc.Block{
			ID: uuid.New(), First: entries[len(entries)-1].ID, Last: entries[0].ID, Rows: len(entries),
			Summary: []byte("summary"),
		},
		Data: []byte("0123456789"),
	}
}

func replace(t testing.TB, store *Store, change logsvc.Change) {
	t.Helper()
	must(t, store.Replace(t.Context(), "acme", change))
}

func everything() logsvc.Range { return logsvc.Range{To: uuid.Max} }

// holds fails unless acme has exactly these rows, newest first, and blocks.
func holds(t testing.TB, store *Store, rows []logsvc.Entry, blocks ...logsvc.SealedBlock) {
	t.Helper()
	got := view(t, store, logsvc.ViewQuery{Range: everything(), Rows: 100, Blocks: 100})
	if !slices.Equal(got.Rows, rows) || got.RowsFrom != uuid.Nil {
		t.Errorf("rows down to %s: %+v\nwant %+v", got.RowsFrom, got.Rows, rows)
	}
	sameBlocks(t, got.Blocks, blocks...)
	if got.BlocksFrom != uuid.Nil {
		t.Errorf("blocks down to %s", got.BlocksFrom)
	}
}

func view(t testing.TB, store *Store, query logsvc.ViewQuery) logsvc.View {
	t.Helper()
	query.WorkspaceID = "acme"
	view, err := store.View(t.Context(), query)
	must(t, err)
	return view
}

func sameBlocks(t testing.TB, got []logsvc.Block, want ...logsvc.SealedBlock) {
	t.Helper()
	same := slices.EqualFunc(got, want, func(got logsvc.Block, want logsvc.SealedBlock) bool {
		return got.ID == want.ID && got.First == want.First && got.Last == want.Last && got.Rows == want.Rows &&
			string(got.Summary) == string(want.Summary)
	})
	if !same {
		t.Errorf("blocks %v\nwant %v", got, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEverythingSurvivesReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder?", "..", "logs #1.db")
	store, entries := open(t, path), calls(4)
	record(t, store, entries...)
	block := sealed(entries[2:]...)
	replace(t, store, logsvc.Change{Rows: entries[2:], Insert: []logsvc.SealedBlock{block}})
	must(t, store.Close())
	holds(t, open(t, path), entries[:2], block)
}

func TestReadOnlyStoreReadsAndRefusesToWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs.db")
	writer, entries := open(t, path), calls(4)
	record(t, writer, entries...)
	block := sealed(entries[2:]...)
	replace(t, writer, logsvc.Change{Rows: entries[2:], Insert: []logsvc.SealedBlock{block}})
	must(t, writer.Close())
	store, err := OpenReadOnly(t.Context(), path)
	must(t, err)
	defer store.Close()
	holds(t, store, entries[:2], block)
	days, expireErr := store.Expire(t.Context(), uuid.Max, math.MaxInt)
	if days < 1 {
		t.Error("Expire does not return how many days it has not deleted")
	}
	for name, err := range map[string]error{
		"Record":  store.Record(t.Context(), entries),
		"Replace": store.Replace(t.Context(), "acme", logsvc.Change{Rows: entries[:1]}),
		"Expire":  expireErr,
	} {
		if err == nil || !strings.Contains(err.Error(), "readonly") {
			t.Errorf("%s returned %v", name, err)
		}
	}
}
