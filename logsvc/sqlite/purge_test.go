package sqlite

import (
	"math"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

func TestPurgeRecentDeletesOneChunkAtMost(t *testing.T) {
	store, entries := openSmallChunks(t), calls(3)
	record(t, store, entries...)
	for _, want := range []int64{2, 1, 0} {
		if got, more, err := store.PurgeRecent(t.Context(), "acme", uuid.Max); got != want || more != (want == 2) || err != nil {
			t.Errorf("PurgeRecent = %d, more %t, %v, want %d", got, more, err, want)
		}
	}
}

func TestExpireIsExactForRowsAndLeavesTheBlockAtTheEdge(t *testing.T) {
	store, entries := openSmallChunks(t), calls(14)
	record(t, store, entries...)
	var blocks []logsvc.SealedBlock
	for i := 0; i < len(entries); i += 2 {
		blocks = append(blocks, sealed(entries[i:i+2]...))
	}
	replace(t, store, logsvc.Change{Insert: blocks})
	expire(t, store, entries[2].ID)
	holds(t, store, entries[:3], blocks[:2]...)
	expire(t, store, entries[1].ID)
	holds(t, store, entries[:2], blocks[0])
}

// TestDaysThatPassThroughLeaveNoGap records, seals and expires 30 days: the file has the size of the fullest moment.
func TestDaysThatPassThroughLeaveNoGap(t *testing.T) {
	t.Parallel()
	const rowsPerDay, retained = 200, 10
	store, start := openNew(t), time.Now().UTC().Truncate(day)
	var full int64
	for n := range 30 {
		entries := callsAt(start.AddDate(0, 0, n).Add(day/2), rowsPerDay)
		for i := range 4 {
			record(t, store, entries[i*rowsPerDay/4:(i+1)*rowsPerDay/4]...)
		}
		block := sealed(entries...)
		block.Data = make([]byte, 20*rowsPerDay)
		replace(t, store, logsvc.Change{Rows: entries, Insert: []logsvc.SealedBlock{block}})
		expire(t, store, uuid7.First(start.AddDate(0, 0, n-retained)))
		if n == retained+1 {
			full = pages(t, store)
		}
	}
	if got := pages(t, store); got > full+full/20 {
		t.Errorf("the file has %d pages, %d when the first day had expired", got, full)
	}
	if got := view(t, store, logsvc.ViewQuery{Range: everything(), Rows: 1, Blocks: 100}); len(got.Blocks) != retained+1 {
		t.Errorf("%d days are left", len(got.Blocks))
	}
}

func expire(t *testing.T, store *Store, before uuid.UUID) {
	t.Helper()
	_, err := store.Expire(t.Context(), before, math.MaxInt)
	must(t, err)
}

func pages(t *testing.T, store *Store) (count int64) {
	t.Helper()
	must(t, store.db.Read.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&count))
	return count
}
