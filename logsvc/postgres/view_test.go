package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

func TestViewStopsWhenItsTimeIsUpAndMakesProgress(t *testing.T) {
	t.Parallel()
	store := open(t, pgtest.Database(t, migrate))
	sent := newestFirst(rows("acme", time.Now().Add(-time.Hour), 25))
	must(t, store.Record(t.Context(), sent))
	query := logsvc.ViewQuery{
		WorkspaceID: "acme", Range: logsvc.Range{To: uuid.Max}, Filter: logsvc.Filter{Endpoint: "nowhere"}, Rows: 10, Blocks: 1,
	}
	view, err := store.View(t.Context(), query)
	if err != nil || len(view.Rows) != 0 || view.RowsFrom != uuid.Nil {
		t.Errorf("with enough time it returned %d rows down to %s, %v", len(view.Rows), view.RowsFrom, err)
	}
	store.SetWalkTime(-time.Second)
	for _, want := range []struct {
		rows []logsvc.Entry
		from uuid.UUID
	}{{sent[:10], sent[9].ID}, {sent[10:20], sent[19].ID}, {sent[20:], uuid.Nil}} {
		view, err := store.View(t.Context(), query)
		must(t, err)
		if diff := cmp.Diff(want.rows, view.Rows); diff != "" || view.RowsFrom != want.from {
			t.Errorf("without time it reaches %s (-want +found):\n%s", view.RowsFrom, diff)
		}
		query.Range.To = view.RowsFrom
	}
}

// TestTallyHasTheBucketsOfTheDomain counts the latencies around each power of two, which are the ends of buckets.
func TestTallyHasTheBucketsOfTheDomain(t *testing.T) {
	t.Parallel()
	store := open(t, pgtest.Database(t, migrate))
	sent := rows("acme", time.Now().Add(-time.Hour), 3*40)
	got, want := block.Counts{}, block.Counts{}
	for i := range sent {
		sent[i].Latency = time.Duration(1<<(i/3)+i%3-1) * time.Microsecond
		want.Add(block.GroupOf(&sent[i]))
	}
	must(t, store.Record(t.Context(), sent))
	_, err := store.Tally(t.Context(), "acme", logsvc.Range{To: uuid.Max}, got.Add)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counted (-want +found):\n%s", diff)
	}
}
