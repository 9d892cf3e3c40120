package logsvc_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// sealCounter counts what a sealer reads and replaces.
type sealCounter struct {
	logsvc.Store
	replaced, inserted, rows, unpacked int
	// pieces are the limits of Oldest, without repetitions.
	pieces []int
}

func (c *sealCounter) Replace(ctx context.Context, workspaceID string, change logsvc.Change) error {
	c.replaced, c.inserted = c.replaced+1, c.inserted+len(change.Insert)
	return c.Store.Replace(ctx, workspaceID, change)
}

func (c *sealCounter) Oldest(ctx context.Context, workspaceID string, ids logsvc.Range, limit int) ([]logsvc.Entry, error) {
	rows, err := c.Store.Oldest(ctx, workspaceID, ids, limit)
	c.rows += len(rows)
	if !slices.Contains(c.pieces, limit) {
		c.pieces = append(c.pieces, limit)
	}
	return rows, err
}

func (c *sealCounter) Read(ctx context.Context, workspaceID string, parts []logsvc.Part) ([][]byte, error) {
	c.unpacked += len(parts)
	return c.Store.Read(ctx, workspaceID, parts)
}

// The endpoints of these tests are so long that 2,048 of them fill a block.
const (
	endpointLength = 2048
	textRows       = 2048
	pieceRows      = 512
)

// longCalls returns calls with long endpoints, a millisecond apart.
func longCalls(count int) []logsvc.Entry {
	entries := make([]logsvc.Entry, count)
	for i := range entries {
		entries[i] = entryAt(noon.Add(time.Duration(i) * time.Millisecond))
		entries[i].Endpoint = strings.Repeat("x", endpointLength-8) + fmt.Sprintf("%08d", i)
	}
	return entries
}

// sealAt makes one pass of a new sealer and returns what it has done.
func sealAt(t *testing.T, store logsvc.Store, now time.Time) *sealCounter {
	t.Helper()
	counter := &sealCounter{Store: store}
	must(t, logsvc.NewSealer(counter, logsvc.SealConfig{
		SealRows: pieceRows, BlockRows: logsvc.DefaultBlockRows, Grace: time.Minute, Now: func() time.Time { return now },
	}).Seal(t.Context()))
	return counter
}

// blockRows returns how many rows the blocks of acme have, newest first.
func blockRows(t *testing.T, store logsvc.Store) (rows []int) {
	t.Helper()
	query := logsvc.ViewQuery{WorkspaceID: "acme", Range: logsvc.Range{To: uuid.Max}, Rows: 1, Blocks: 100}
	view, err := store.View(t.Context(), query)
	must(t, err)
	for _, b := range view.Blocks {
		rows = append(rows, b.Rows)
	}
	return rows
}

func TestADayWithLongEndpointsIsReadAndPackedOnce(t *testing.T) {
	store, calls := openStore(t), longCalls(2*textRows+pieceRows)
	must(t, store.Record(t.Context(), calls))
	want := []int{pieceRows, textRows, textRows}
	first := sealAt(t, store, noon.Add(24*time.Hour))
	if got := blockRows(t, store); !slices.Equal(got, want) {
		t.Fatalf("the blocks have %v rows, want %v", got, want)
	}
	if first.replaced != 3 || first.inserted != 3 || first.unpacked > 3 {
		t.Errorf("%d changes stored %d blocks, and %d were read; want 3", first.replaced, first.inserted, first.unpacked)
	}
	// The piece that does not fit into a block is read again.
	if most := len(calls) + len(want)*pieceRows; first.rows > most || !slices.Equal(first.pieces, []int{pieceRows}) {
		t.Errorf("%d rows were read in pieces of %v, want at most %d in pieces of %d", first.rows, first.pieces, most, pieceRows)
	}
	late := calls[0]
	late.CallCount = 2
	must(t, store.Record(t.Context(), []logsvc.Entry{late}))
	second := sealAt(t, store, noon.Add(48*time.Hour))
	if got := blockRows(t, store); second.replaced != 1 || second.inserted != 1 || !slices.Equal(got, want) {
		t.Errorf("one late row: %d changes stored %d blocks, which now have %v rows", second.replaced, second.inserted, got)
	}
}

func TestSmallBlocksWithLongEndpointsAreJoinedOnce(t *testing.T) {
	store, calls := openStore(t), longCalls(textRows+2*pieceRows)
	for rows := range slices.Chunk(calls, pieceRows) {
		must(t, store.Record(t.Context(), rows))
		sealAt(t, store, noon.Add(time.Hour))
	}
	if got := blockRows(t, store); len(got) != len(calls)/pieceRows {
		t.Fatalf("during the day the blocks have %v rows, want %d each", got, pieceRows)
	}
	late := calls[0]
	late.CallCount = 2
	must(t, store.Record(t.Context(), []logsvc.Entry{late}))
	joined := sealAt(t, store, noon.Add(24*time.Hour))
	if got, want := blockRows(t, store), []int{2 * pieceRows, textRows}; !slices.Equal(got, want) {
		t.Errorf("after the day the blocks have %v rows, want %v", got, want)
	}
	if joined.replaced != 2 || joined.inserted != 3 {
		t.Errorf("%d changes stored %d blocks, want one for the late row, and one that joins", joined.replaced, joined.inserted)
	}
}

// TestADayIsOverAtMidnightAndTheGrace seals at times around two midnights: of a workspace with fewer rows than are sealed before
// the day is over, and of one with more.
func TestADayIsOverAtMidnightAndTheGrace(t *testing.T) {
	const sealRows = 4
	midnight := noon.Truncate(24 * time.Hour).Add(24 * time.Hour)
	row := func(workspaceID string, sinceMidnight time.Duration) logsvc.Entry {
		e := entryAt(midnight.Add(sinceMidnight))
		e.WorkspaceID = workspaceID
		return e
	}
	rows := []logsvc.Entry{
		row("small", -25*time.Hour), row("small", -10*time.Minute), row("small", -time.Millisecond), row("small", time.Minute),
	}
	for range sealRows {
		rows = append(rows, row("large", -time.Hour), row("large", 0))
	}
	for range sealRows - 1 {
		rows = append(rows, row("large", -2*time.Minute), row("large", 20*time.Minute))
	}
	for name, restarted := range map[string]bool{"one sealer": false, "a new sealer each time": true} {
		t.Run(name, func(t *testing.T) {
			store, clock := openStore(t), &clock{}
			must(t, store.Record(t.Context(), rows))
			config := logsvc.SealConfig{SealRows: sealRows, BlockRows: 100, Grace: 15 * time.Minute, Now: clock.Now}
			sealer := logsvc.NewSealer(store, config)
			for _, at := range []struct {
				sinceMidnight time.Duration
				want          string
			}{
				{-12 * time.Hour, "small: 2 + 1, large: 7 + 7"},
				{-10 * time.Minute, "small: 2 + 1, large: 3 + 7"},
				{0, "small: 2 + 1, large: 3 + 7"},
				{5 * time.Minute, "small: 2 + 1, large: 3 + 7"},
				{14 * time.Minute, "small: 2 + 1, large: 3 + 7"},
				{15 * time.Minute, "small: 0 + 1, large: 0 + 7"},
				{16 * time.Minute, "small: 0 + 1, large: 0 + 3"},
				{24 * time.Hour, "small: 0 + 1, large: 0 + 3"},
				{24*time.Hour + 14*time.Minute, "small: 0 + 1, large: 0 + 3"},
				{24*time.Hour + 16*time.Minute, "small: 0 + 0, large: 0 + 0"},
			} {
				clock.set(midnight.Add(at.sinceMidnight))
				if restarted {
					sealer = logsvc.NewSealer(store, config)
				}
				must(t, sealer.Seal(t.Context()))
				if got := unsealed(t, store, midnight); got != at.want {
					t.Errorf("%v after midnight %s rows are not sealed, want %s", at.sinceMidnight, got, at.want)
				}
			}
		})
	}
}

// unsealed returns how many rows are not sealed of the days before and after a midnight, e.g. "small: 2 + 1, large: 7 + 7".
func unsealed(t *testing.T, store logsvc.Store, midnight time.Time) string {
	t.Helper()
	count := func(workspaceID string, from, to time.Time) int {
		ids := logsvc.Range{From: uuid7.First(from), To: uuid7.First(to)}
		rows, err := store.Oldest(t.Context(), workspaceID, ids, 100)
		must(t, err)
		return len(rows)
	}
	text := make([]string, 0, 2)
	for _, workspaceID := range []string{"small", "large"} {
		text = append(text, fmt.Sprintf("%s: %d + %d", workspaceID,
			count(workspaceID, midnight.Add(-72*time.Hour), midnight), count(workspaceID, midnight, midnight.Add(24*time.Hour))))
	}
	return strings.Join(text, ", ")
}
