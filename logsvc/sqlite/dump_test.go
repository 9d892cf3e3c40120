package sqlite

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

func TestDumpReturnsARangeByAscendingID(t *testing.T) {
	store, entries := openNew(t), calls(6)
	record(t, store, entries...)
	slices.Reverse(entries)
	other := entries[2]
	other.WorkspaceID = "globex"
	record(t, store, other)
	ids := logsvc.Range{From: entries[1].ID, To: entries[5].ID}
	for limit, want := range map[int][]logsvc.Entry{3: entries[1:4], 10: entries[1:5]} {
		got, err := store.Dump(t.Context(), "acme", ids, limit)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("limit %d: got %+v, %v, want %+v", limit, got, err, want)
		}
	}
	if got, err := store.Count(t.Context(), "acme", ids); got != 4 || err != nil {
		t.Errorf("count %d, %v", got, err)
	}
}

func TestNextWorkspaceVisitsAll(t *testing.T) {
	store := openNew(t)
	for _, workspaceID := range []string{"b", "_unattributed", "a"} {
		entry := calls(1)[0]
		entry.WorkspaceID = workspaceID
		record(t, store, entry)
	}
	var visited []string
	for workspaceID := ""; ; {
		var err error
		if workspaceID, err = store.NextWorkspace(t.Context(), workspaceID); err != nil {
			t.Fatal(err)
		}
		if workspaceID == "" {
			break
		}
		visited = append(visited, workspaceID)
	}
	if want := []string{"_unattributed", "a", "b"}; !slices.Equal(visited, want) {
		t.Errorf("visited %q, want %q", visited, want)
	}
}

func TestDumpFollowsThePrimaryKey(t *testing.T) {
	store, id := openNew(t), uuid.New()
	var entry, parent, unused int
	var plan string
	err := store.db.Read.QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN "+dump, "acme", id[:], id[:], 1).Scan(&entry, &parent, &unused, &plan)
	if err != nil || plan != "SEARCH request_logs USING PRIMARY KEY (workspace_id=? AND id>? AND id<?)" {
		t.Errorf("plan %q, %v", plan, err)
	}
}
