package logsvc_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

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
