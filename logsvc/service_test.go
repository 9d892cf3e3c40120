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

func TestRecordRejectsWhatCanNeverBeStoredAndStoresTheRest(t *testing.T) {
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
	rejected, err := service.Record(t.Context(), entries)
	must(t, err)
	malformed := logsvc.Rejection{Reason: logsvc.Malformed, Message: "id: must be a UUIDv7"}
	old := logsvc.Rejection{Reason: logsvc.TooOld, Message: "id: its time is older than the retention"}
	future := logsvc.Rejection{Reason: logsvc.TooNew, Message: "id: its time is more than a day in the future"}
	want := map[int]logsvc.Rejection{1: malformed, 2: malformed, 3: malformed, 4: old, 6: old, 8: future, 9: future}
	if diff := cmp.Diff(want, rejected); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
	if got, stored := list(t, service), []uuid.UUID{entries[7].ID, entries[0].ID, entries[5].ID}; !slices.Equal(got, stored) {
		t.Errorf("stored %v, want %v", got, stored)
	}
}

func TestRecordOfRejectedRowsAloneIsNoError(t *testing.T) {
	service, _ := newService(t)
	rejected, err := service.Record(t.Context(), []logsvc.Entry{entryAt(noon.Add(-1000 * time.Hour))})
	if err != nil || len(rejected) != 1 {
		t.Errorf("rejected %v, %v", rejected, err)
	}
}

func TestListIsLimitedToItsRangeAndTheWindow(t *testing.T) {
	service, _ := newService(t)
	var rows []logsvc.Entry
	for i := range 4 {
		rows = append(rows, entryAt(noon.Add(time.Duration(i)*time.Hour)))
	}
	record(t, service, rows...)
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
	var zero time.Time
	windowStart := uuid7.First(noon.Add(-logsvc.DefaultRetention + time.Millisecond))
	for _, tt := range []struct {
		name string
		ids  logsvc.Range
		want []int
		end  uuid.UUID
	}{
		{"everything", all, []int{3, 2, 1, 0}, windowStart},
		{"from a row's own time", logsvc.TimeRange(at(1), zero), []int{3, 2, 1}, uuid7.First(at(1))},
		{"up to a row's own time", logsvc.TimeRange(zero, at(2)), []int{1, 0}, windowStart},
		{"between", logsvc.TimeRange(at(1), at(3)), []int{2, 1}, uuid7.First(at(1))},
		{"below a row", all.Overlap(logsvc.Range{To: rows[2].ID}), []int{1, 0}, windowStart},
		{"below a row that the end excludes", logsvc.TimeRange(zero, at(1)).Overlap(logsvc.Range{To: rows[3].ID}), []int{0}, windowStart},
		{"a start before the window", logsvc.TimeRange(at(-10000), at(1)), []int{0}, windowStart},
		{"an end before the window", logsvc.TimeRange(zero, at(-10000)), nil, windowStart},
		{"an end before 1970", logsvc.TimeRange(zero, time.Unix(-1, 0)), nil, windowStart},
		{"a start in the future", logsvc.TimeRange(at(1000), zero), nil, uuid7.First(at(1000))},
		{"a start after the end", logsvc.TimeRange(at(3), at(1)), nil, uuid7.First(at(3))},
	} {
		page, more, err := service.List(t.Context(), logsvc.Query{WorkspaceID: "acme", Range: tt.ids, Limit: 10})
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

func TestFullPageReportsWhetherThereIsMore(t *testing.T) {
	service, _ := newService(t)
	record(t, service, entryAt(noon), entryAt(noon.Add(1000)), entryAt(noon.Add(2000)))
	for limit, wantMore := range map[int]bool{1: true, 2: true, 3: false, 4: false} {
		page, more, err := service.List(t.Context(), logsvc.Query{WorkspaceID: "acme", Range: all, Limit: limit})
		must(t, err)
		if more != wantMore || len(page.Entries) != min(limit, 3) {
			t.Errorf("a page of %d holds %d of 3 rows, more %v", limit, len(page.Entries), more)
		}
	}
}
