package sqlite

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

func TestReplaceIsAllOrNothing(t *testing.T) {
	store, entries := openNew(t), calls(6)
	old, row := sealed(entries[4:]...), entries[:1]
	record(t, store, entries[:4]...)
	replace(t, store, logsvc.Change{Insert: []logsvc.SealedBlock{old}})
	gone := old.Block
	gone.ID = uuid.New()
	fresh := sealed(entries[1:3]...)
	for name, change := range map[string]logsvc.Change{
		"a row is gone":               {Rows: calls(1)},
		"a row of another workspace":  {Rows: entries[5:]},
		"a block is gone":             {Delete: []logsvc.Block{gone}},
		"a block is deleted twice":    {Delete: []logsvc.Block{old.Block, old.Block}},
		"a row is gone after another": {Rows: append(slices.Clone(row), calls(1)...), Delete: []logsvc.Block{old.Block}},
	} {
		change.Rows = append(slices.Clone(row), change.Rows...)
		change.Insert = []logsvc.SealedBlock{fresh}
		if err := store.Replace(t.Context(), "acme", change); !errors.Is(err, logsvc.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
		holds(t, store, entries[:4], old)
	}
	err := store.Replace(t.Context(), "acme", logsvc.Change{Rows: row, Insert: []logsvc.SealedBlock{fresh, fresh}})
	if err == nil {
		t.Error("a block was stored twice")
	}
	holds(t, store, entries[:4], old)
	replace(t, store, logsvc.Change{Rows: row, Delete: []logsvc.Block{old.Block}, Insert: []logsvc.SealedBlock{fresh}})
	holds(t, store, entries[1:4], fresh)
}

// TestReplaceLeavesARowThatAMergeHasChanged tries every kind of change, and one that is none.
func TestReplaceLeavesARowThatAMergeHasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		stored, later func(*logsvc.Entry)
		stays         bool
	}{
		"denied":          {func(e *logsvc.Entry) { e.Status = 0 }, func(e *logsvc.Entry) { e.Status = 403 }, true},
		"reported":        {func(e *logsvc.Entry) {}, func(e *logsvc.Entry) { e.Reported = true }, true},
		"counted":         {func(e *logsvc.Entry) {}, func(e *logsvc.Entry) { e.CallCount = 7 }, true},
		"described":       {func(e *logsvc.Entry) { e.FromReport = true }, func(e *logsvc.Entry) { e.Endpoint = "/new" }, true},
		"delivered again": {func(e *logsvc.Entry) {}, func(e *logsvc.Entry) { e.Endpoint = "/new" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			store, read := openNew(t), calls(2)
			c.stored(&read[0])
			later := read[0]
			later.FromReport = false
			c.later(&later)
			record(t, store, read...)
			record(t, store, later)
			block := sealed(read...)
			replace(t, store, logsvc.Change{Rows: read, Insert: []logsvc.SealedBlock{block}})
			var want []logsvc.Entry
			if c.stays {
				want = append(want, logsvc.Merge(read[0], later))
			}
			holds(t, store, want, block)
		})
	}
}
