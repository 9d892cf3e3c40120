package logsvc

import (
	"slices"
	"testing"

	"github.com/keytrail/keytrail/logsvc/block"
)

// TestCountsHoldFewBlocks: the entries of all blocks of a month would take gigabytes.
func TestCountsHoldFewBlocks(t *testing.T) {
	scanned := func(rows int) *countedBlock {
		return &countedBlock{summary: &block.Summary{Rows: rows}, scan: &block.Scan{}}
	}
	blocks := slices.Repeat([]*countedBlock{scanned(DefaultBlockRows)}, 7)
	blocks = append(blocks, scanned(10*block.MaxRows), scanned(1), &countedBlock{}, scanned(1)) // the second last is not fetched
	var got []int
	for left := blocks; len(left) > 0; {
		var batch []*countedBlock
		batch, left = cutBatch(left)
		got = append(got, len(batch))
	}
	if want := []int{3, 3, 1, 1, 3}; !slices.Equal(got, want) {
		t.Errorf("the batches have %v blocks, want %v", got, want)
	}
}
