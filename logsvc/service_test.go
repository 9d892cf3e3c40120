package logsvc_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

func TestRecordRefusesWhatCanNeverBeStoredAndStoresTheRest(t *testing.T) {
	service, _ := newService(t)
	at := func(d time.Duration) logsvc.Entry { return entryAt(noon.Add(d)) }
	notV7 := at(0)
	notV7.ID = uuid.New()
	foreign := at(0)
	foreign.ID[8] |= 0xc0
	const month, day, ms = 30 * 24 * time.Hour, 24 * time.Hour, time.Millisecond
	entries := []logsvc.Entry{
		0: at(0), 1: {WorkspaceID: "acme"}, 2: notV7, 3: foreign,
		4: at(-month), 5: at(-month + ms), 6: at(-month - day), 7: at(day - ms), 8: at(day), 9: at(1000 * day),
	}
	refused, err := service.Record(t.Context(), entries)
	must(t, err)
	malformed := logsvc.RefusedEntry{Class: logsvc.Malformed, Message: "id: must be a UUIDv7"}
	old := logsvc.RefusedEntry{Class: logsvc.TooOld, Message: "id: its time is older than the retention"}
	future := logsvc.RefusedEntry{Class: logsvc.TooNew, Message: "id: its time is more than a day in the future"}
	want := map[int]logsvc.RefusedEntry{1: malformed, 2: malformed, 3: malformed, 4: old, 6: old, 8: future, 9: future}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if got, stored := list(t, service, logsvc.Search{}), []uuid.UUID{entries[7].ID, entries[0].ID, entries[5].ID}; !slices.Equal(got, stored) {
		t.Errorf("stored %v, want %v", got, stored)
	}
}

func TestRecordOfRefusedRowsAloneIsNoError(t *testing.T) {
	service, _ := newService(t)
	refused, err := service.Record(t.Context(), []logsvc.Entry{entryAt(noon.Add(-1000 * time.Hour))})
	if err != nil || len(refused) != 1 {
		t.Errorf("refused %v, %v", refused, err)
	}
}

func TestSearchIsClippedToItsTimesAndTheWindow(t *testing.T) {
	service, _ := newService(t)
	var rows []logsvc.Entry
	for i := range 4 {
		rows = append(rows, entryAt(noon.Add(time.Duration(i)*time.Hour)))
	}
	record(t, service, rows...)
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
	windowStart := uuid7.First(noon.Add(-logsvc.DefaultRetention + time.Millisecond))
	for _, tt := range []struct {
		name   string
		search logsvc.Search
		want   []int
		end    uuid.UUID
	}{
		{"everything", logsvc.Search{}, []int{3, 2, 1, 0}, windowStart},
		{"from a row's own time", logsvc.Search{Start: at(1)}, []int{3, 2, 1}, uuid7.First(at(1))},
		{"up to a row's own time", logsvc.Search{End: at(2)}, []int{1, 0}, windowStart},
		{"between", logsvc.Search{Start: at(1), End: at(3)}, []int{2, 1}, uuid7.First(at(1))},
		{"below a row", logsvc.Search{Below: rows[2].ID}, []int{1, 0}, windowStart},
		{"below a row that the end excludes", logsvc.Search{Below: rows[3].ID, End: at(1)}, []int{0}, windowStart},
		{"a start before the window", logsvc.Search{Start: at(-10000), End: at(1)}, []int{0}, windowStart},
		{"an end before the window", logsvc.Search{End: at(-10000)}, nil, windowStart},
		{"an end before 1970", logsvc.Search{End: time.Unix(-1, 0)}, nil, windowStart},
		{"a start in the future", logsvc.Search{Start: at(1000)}, nil, uuid7.First(at(1000))},
		{"a start after the end", logsvc.Search{Start: at(3), End: at(1)}, nil, uuid7.First(at(3))},
	} {
		tt.search.WorkspaceID, tt.search.Limit = "acme", 10
		page, more, err := service.List(t.Context(), tt.search)
		must(t, err)
		var got []int
		for _, e := range page.Entries {
			got = append(got, slices.IndexFunc(rows, func(r logsvc.Entry) bool { return r.ID == e.ID }))
		}
		if !slices.Equal(got, tt.want) || more || page.SearchedTo != tt.end {
			t.Errorf("%s: rows %v, more %v, searched to %v; want %v to %v", tt.name, got, more, page.SearchedTo, tt.want, tt.end)
		}
	}
}

func TestPageThatIsFullSaysThatThereIsMore(t *testing.T) {
	service, _ := newService(t)
	record(t, service, entryAt(noon), entryAt(noon.Add(1000)), entryAt(noon.Add(2000)))
	for limit, wantMore := range map[int]bool{1: true, 2: true, 3: false, 4: false} {
		page, more, err := service.List(t.Context(), logsvc.Search{WorkspaceID: "acme", Limit: limit})
		must(t, err)
		if more != wantMore || len(page.Entries) != min(limit, 3) {
			t.Errorf("a page of %d holds %d of 3 rows, more %v", limit, len(page.Entries), more)
		}
	}
}
