package migrate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// seal packs the rows of all days that have ended.
func (f *fixture) seal(store logsvc.Store) {
	f.Helper()
	f.must(logsvc.NewSealer(store, logsvc.SealConfig{SealRows: 8, BlockRows: 8, Now: time.Now}).Seal(f.Context()))
}

func (f *fixture) blockIDs(store logsvc.Store, workspaceID string) (ids []uuid.UUID) {
	f.Helper()
	view, err := store.View(f.Context(), logsvc.ViewQuery{
		WorkspaceID: workspaceID, Range: logsvc.Range{From: logsvc.WindowAt(time.Now(), retention).From, To: uuid.Max}, Rows: 1, Blocks: 1000,
	})
	f.must(err)
	for _, b := range view.Blocks {
		ids = append(ids, b.ID)
	}
	return ids
}

func TestSealedRowsAreCopiedAsTheyAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2)
	source := f.sourceLogs()
	f.seal(source)
	f.must(source.Close())
	for range 2 {
		report := f.run()
		if !report.Equal() || report.Expired != 2*expired {
			t.Fatalf("report %+v", report)
		}
	}
	f.expectAll()
	source = f.sourceLogs()
	defer source.Close()
	want, got := f.blockIDs(source, "ws-01"), f.blockIDs(f.targetLogs(), "ws-01")
	if len(want) < 10 || !slices.Equal(got, want) {
		t.Errorf("the target has the blocks %v, want %v", got, want)
	}
}

// The target may have sealed rows of an earlier attempt itself.
func TestSealedRowsAreMergedIntoOtherBlocks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1)
	target := f.targetLogs()
	f.must(target.Record(t.Context(), f.logs["ws-00"][:perWorkspace/2]))
	f.seal(target)
	source := f.sourceLogs()
	f.seal(source)
	f.must(source.Close())
	if report := f.run(); !report.Equal() {
		t.Fatalf("report %+v", report)
	}
	f.expectAll()
}
