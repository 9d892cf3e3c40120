package logsvc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc/block"
)

// Summary counts the calls of a workspace in a range.
type Summary struct {
	block.Statistics
	// Unreadable are the ranges of damaged blocks, whose calls are not counted, newest first.
	Unreadable []Range
}

// summaryAttempts is how often a summary begins anew because blocks were replaced meanwhile.
const summaryAttempts = 10

// Summarize counts every call of the workspace in the range once, as it is known at one moment: the unsealed rows, the
// statistics of whole blocks, and the entries of blocks that are only partly in the range.
func (s *Searcher) Summarize(ctx context.Context, workspaceID string, ids Range) (Summary, error) {
	for attempt := 1; ; attempt++ {
		summary, err := s.summarize(ctx, workspaceID, ids)
		if errors.Is(err, ErrBlockGone) && attempt < summaryAttempts {
			continue
		}
		if err != nil {
			return Summary{}, fmt.Errorf("summarize request logs of %s: %w", workspaceID, err)
		}
		return summary, nil
	}
}

// summarize counts the rows above all blocks first, and then everything below that id, whatever has been sealed meanwhile.
func (s *Searcher) summarize(ctx context.Context, workspaceID string, ids Range) (Summary, error) {
	tally, err := s.store.Tally(ctx, workspaceID, ids)
	if err != nil {
		return Summary{}, err
	}
	c := &counting{Searcher: s, workspaceID: workspaceID, ids: ids.Overlap(Range{To: uuid7.Next(tally.Above)})}
	c.summary.Merge(&tally.Statistics)
	for !c.ids.Empty() {
		view, err := s.store.View(ctx, ViewQuery{WorkspaceID: workspaceID, Range: c.ids, Rows: maxStep.rows, Blocks: maxStep.blocks})
		if err != nil {
			return Summary{}, err
		}
		if err := c.count(ctx, view); err != nil {
			return Summary{}, err
		}
		c.ids.To = higher(view.RowsFrom, view.BlocksFrom)
	}
	return c.summary, nil
}

// counting is the state of one summary.
type counting struct {
	*Searcher
	workspaceID string
	// ids is what is left to count.
	ids     Range
	summary Summary
}

// count adds a view.
func (c *counting) count(ctx context.Context, view View) error {
	end := higher(view.RowsFrom, view.BlocksFrom)
	rows := rowsIn(view.Rows, Range{From: end, To: c.ids.To})
	var blocks []*countedBlock
	for _, b := range view.Blocks {
		if below(b.Last, end) {
			break
		}
		over := rowsIn(rows, Range{From: b.First, To: uuid7.Next(b.Last)})
		blocks = append(blocks, c.prepare(b, over, Range{From: higher(end, b.First), To: c.ids.To}))
	}
	if err := fetch(ctx, c.store, c.workspaceID, blocks); err != nil {
		return err
	}
	for _, b := range blocks {
		c.addBlock(b)
	}
	for i := range rows {
		if !slices.ContainsFunc(blocks, func(b *countedBlock) bool { return b.covers(rows[i].ID) }) {
			c.summary.Add(block.GroupOf(&rows[i]))
		}
	}
	return nil
}

// countedBlock is one block of a view.
type countedBlock struct {
	Block
	decoder *block.Decoder
	summary *block.Summary
	// over are the rows that lie over the block.
	over []Entry
	// whole is set if the statistics of the block are counted, without the entries that over replaces; else the entries of
	// the block are counted one by one.
	whole      bool
	statistics *block.Statistics
	scan       *block.Scan
	err        error
}

func (b *countedBlock) covers(id uuid.UUID) bool { return !below(id, b.First) && !below(b.Last, id) }

// prepare decides what of a block has to be fetched.
func (c *counting) prepare(b Block, over []Entry, ids Range) *countedBlock {
	counted := &countedBlock{Block: b, decoder: c.decoder, over: over, whole: !below(b.First, ids.From) && below(b.Last, ids.To)}
	if counted.summary, counted.err = parse(c.decoder, b); counted.err != nil {
		return counted
	}
	query := block.ScanQuery{From: ids.From, To: ids.To, Limit: block.MaxRows}
	if counted.whole {
		query.Limit = 0
	}
	for _, e := range over {
		query.Always = append(query.Always, e.ID)
	}
	if !counted.whole || len(over) > 0 {
		counted.scan = c.decoder.NewScan(counted.summary, query)
	}
	return counted
}

func (b *countedBlock) fetched() Block { return b.Block }

func (b *countedBlock) spans() []block.Span {
	switch {
	case b.err != nil:
		return nil
	case b.whole && b.statistics == nil:
		return []block.Span{b.summary.StatisticsSpan()}
	case b.scan != nil:
		return b.scan.Spans()
	}
	return nil
}

func (b *countedBlock) feed(data [][]byte) {
	if b.whole && b.statistics == nil {
		b.statistics, b.err = b.decoder.Statistics(b.summary, data[0])
		return
	}
	b.err = b.scan.Feed(data)
}

// addBlock counts a block and the rows that lie over it.
func (c *counting) addBlock(b *countedBlock) {
	if b.err != nil {
		c.onDamage(c.workspaceID, b.Block, b.err)
		c.summary.Unreadable = append(c.summary.Unreadable, Range{From: b.First, To: uuid7.Next(b.Last)}.Overlap(c.ids))
		b.scan, b.whole = nil, false
	}
	var sealed []Entry
	if b.scan != nil {
		sealed = b.scan.Entries()
	}
	if b.whole {
		c.summary.Merge(b.statistics)
		for i := range sealed {
			replaced := block.GroupOf(&sealed[i])
			replaced.Calls = -replaced.Calls
			c.summary.Add(replaced)
		}
	}
	for _, e := range layOver(b.over, sealed) {
		c.summary.Add(block.GroupOf(&e))
	}
}

// rowsIn returns the rows of the range; both are by descending id.
func rowsIn(rows []Entry, ids Range) []Entry {
	for len(rows) > 0 && !below(rows[0].ID, ids.To) {
		rows = rows[1:]
	}
	n := 0
	for n < len(rows) && !below(rows[n].ID, ids.From) {
		n++
	}
	return rows[:n]
}
