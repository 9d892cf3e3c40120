package sqlite

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

func TestBacklogCountsByWorkspaceAndDay(t *testing.T) {
	store, noon := openNew(t), time.Date(2026, 5, 3, 12, 0, 0, 0, time.UTC)
	midnight := noon.Add(-day / 2)
	rows := slices.Concat(callsAt(noon, 5), callsAt(midnight.Add(-time.Millisecond), 4), callsAt(noon.Add(-2*day), 3))
	for i := range rows {
		rows[i].WorkspaceID = []string{"acme", "globex"}[i%2]
	}
	record(t, store, rows...)
	replace(t, store, logsvc.Change{Insert: []logsvc.SealedBlock{sealed(calls(2)...)}})
	for _, c := range []struct {
		before  time.Time
		minRows int
		want    []logsvc.Backlog
	}{
		{noon.Add(day), 1, []logsvc.Backlog{
			{WorkspaceID: "acme", Day: midnight.Add(-2 * day), Rows: 1}, {WorkspaceID: "acme", Day: midnight.Add(-day), Rows: 2},
			{WorkspaceID: "acme", Day: midnight, Rows: 3}, {WorkspaceID: "globex", Day: midnight.Add(-2 * day), Rows: 2},
			{WorkspaceID: "globex", Day: midnight.Add(-day), Rows: 2}, {WorkspaceID: "globex", Day: midnight, Rows: 2},
		}},
		{noon.Add(day), 3, []logsvc.Backlog{{WorkspaceID: "acme", Day: midnight, Rows: 3}}},
		{midnight, 2, []logsvc.Backlog{
			{WorkspaceID: "acme", Day: midnight.Add(-day), Rows: 2},
			{WorkspaceID: "globex", Day: midnight.Add(-2 * day), Rows: 2}, {WorkspaceID: "globex", Day: midnight.Add(-day), Rows: 2},
		}},
		{noon, 3, nil},
		{noon, 2, []logsvc.Backlog{
			{WorkspaceID: "acme", Day: midnight.Add(-day), Rows: 2}, {WorkspaceID: "acme", Day: midnight, Rows: 2},
			{WorkspaceID: "globex", Day: midnight.Add(-2 * day), Rows: 2},
			{WorkspaceID: "globex", Day: midnight.Add(-day), Rows: 2}, {WorkspaceID: "globex", Day: midnight, Rows: 2},
		}},
		{midnight.Add(-2 * day), 1, nil},
	} {
		got, err := store.Backlog(t.Context(), uuid7.First(c.before), c.minRows)
		must(t, err)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("before %s, at least %d rows (-want +got):\n%s", c.before, c.minRows, diff)
		}
	}
}

func TestNextWorkspaceVisitsThoseWithRowsAndThoseWithBlocks(t *testing.T) {
	store := openNew(t)
	for _, workspaceID := range []string{"b", "_unattributed", "a"} {
		entry := calls(1)[0]
		entry.WorkspaceID = workspaceID
		record(t, store, entry)
	}
	replace(t, store, logsvc.Change{Insert: []logsvc.SealedBlock{sealed(calls(1)...)}})
	var visited []string
	for workspaceID := ""; ; {
		var err error
		workspaceID, err = store.NextWorkspace(t.Context(), workspaceID)
		must(t, err)
		if workspaceID == "" {
			break
		}
		visited = append(visited, workspaceID)
	}
	if want := []string{"_unattributed", "a", "acme", "b"}; !slices.Equal(visited, want) {
		t.Errorf("visited %q, want %q", visited, want)
	}
}

func TestTallyCountsWhatIsAboveEveryBlock(t *testing.T) {
	store, entries := openNew(t), calls(9)
	for i := range entries {
		entries[i].Status = 100 * i
		entries[i].CallCount = 1 + i
		entries[i].Reported, entries[i].Latency = i%2 == 0, time.Duration(i)*time.Millisecond
	}
	record(t, store, entries...)
	newest := sealed(entries[6:8]...)
	replace(t, store, logsvc.Change{Insert: []logsvc.SealedBlock{sealed(entries[8]), newest}})
	got, want := block.Counts{}, block.Counts{}
	above, err := store.Tally(t.Context(), "acme", logsvc.Range{To: entries[1].ID}, got.Add)
	must(t, err)
	for i := range entries[2:6] {
		if !entries[2+i].Reported {
			entries[2+i].Latency = 0
		}
		want.Add(block.GroupOf(&entries[2+i]))
	}
	if diff := cmp.Diff(want, got); diff != "" || above != newest.Last {
		t.Errorf("above %s (-want +got):\n%s", above, diff)
	}
}
