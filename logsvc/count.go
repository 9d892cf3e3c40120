package logsvc

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc/block"
)

// counter counts calls. Its methods are called one after another, except for unpack.
type counter interface {
	// filter selects the entries that are counted.
	filter() Filter
	// add counts a group, if the filter selects it.
	add(g block.Group)
	// span returns the part of a block's data that has its counts.
	span(s *block.Summary) block.Span
	// unpack unpacks the counts of a block, and returns a function that adds those that the filter selects.
	unpack(s *block.Summary, raw []byte) (add func(), err error)
}

// countAttempts is how often a count begins anew because blocks were replaced meanwhile.
const countAttempts = 10

// count counts every call of the workspace in the range once, as it is known at one moment: the unsealed rows, the counts of
// whole blocks, and the entries of blocks that are only partly in the range, or have no counts. Each attempt has a counter of
// its own. It returns the ranges of damaged blocks, whose calls are not counted, newest first.
func (s *Searcher) count(
	ctx context.Context, workspaceID string, ids Range, newCounter func() counter,
) (unreadable []Range, err error) {
	for attempt := 1; ; attempt++ {
		c := &counting{Searcher: s, counter: newCounter(), workspaceID: workspaceID, ids: ids}
		err := c.run(ctx)
		if errors.Is(err, ErrBlockGone) && attempt < countAttempts {
			continue
		}
		return c.unreadable, err
	}
}

// counting is the state of one count.
type counting struct {
	*Searcher
	counter
	workspaceID string
	// ids is what is left to count.
	ids        Range
	unreadable []Range
}

// run counts the rows above all blocks first, and then everything below that id, whatever has been sealed meanwhile.
func (c *counting) run(ctx context.Context) error {
	above, err := c.store.Tally(ctx, c.workspaceID, c.ids, c.add)
	if err != nil {
		return err
	}
	c.ids = c.ids.Overlap(Range{To: uuid7.Next(above)})
	for !c.ids.Empty() {
		view, err := c.store.View(ctx, ViewQuery{
			WorkspaceID: c.workspaceID, Range: c.ids, Rows: maxStep.rows, Blocks: maxStep.blocks,
		})
		if err != nil {
			return err
		}
		if err := c.addView(ctx, view); err != nil {
			return err
		}
		c.ids.To = higher(view.RowsFrom, view.BlocksFrom)
	}
	return nil
}

func (c *counting) addView(ctx context.Context, view View) error {
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
	for left := blocks; len(left) > 0; {
		var batch []*countedBlock
		batch, left = cutBatch(left)
		if err := fetch(ctx, c.store, c.workspaceID, batch); err != nil {
			return err
		}
		for _, b := range batch {
			c.addBlock(b)
			b.addCounts, b.scan = nil, nil
		}
	}
	for i := range rows {
		if !slices.ContainsFunc(blocks, func(b *countedBlock) bool { return b.covers(rows[i].ID) }) {
			c.add(block.GroupOf(&rows[i]))
		}
	}
	return nil
}

// countedBlock is one block of a view.
type countedBlock struct {
	Block
	counter counter
	summary *block.Summary
	// over are the rows that lie over the block.
	over []Entry
	// whole is set if the counts of the block are counted, without the entries that over replaces; else the entries of the
	// block are counted one by one.
	whole bool
	// addCounts is set once the counts are unpacked.
	addCounts func()
	scan      *block.Scan
	err       error
}

func (b *countedBlock) covers(id uuid.UUID) bool { return !below(id, b.First) && !below(b.Last, id) }

// prepare decides what of a block has to be fetched.
func (c *counting) prepare(b Block, over []Entry, ids Range) *countedBlock {
	counted := &countedBlock{Block: b, counter: c.counter, over: over}
	if counted.summary, counted.err = parse(c.decoder, b); counted.err != nil {
		return counted
	}
	query := block.ScanQuery{Filter: c.filter(), From: ids.From, To: ids.To, NoEndpoints: true}
	if counted.summary.MayMatch(query.Filter) {
		counted.whole = !below(b.First, ids.From) && below(b.Last, ids.To) && counted.summary.HasCounts()
		if !counted.whole {
			query.Limit = block.MaxRows
		}
	}
	for _, e := range over {
		query.Always = append(query.Always, e.ID)
	}
	if query.Limit > 0 || len(over) > 0 {
		counted.scan = c.decoder.NewScan(counted.summary, query)
	}
	return counted
}

// maxHeld is about how many bytes of unpacked blocks a count holds at once, but for one block that needs more.
const maxHeld = 64 << 20

// cutBatch cuts off the first blocks, which are fetched and counted together.
func cutBatch(blocks []*countedBlock) (batch, left []*countedBlock) {
	n, held := 0, 0
	for n < len(blocks) {
		if held += blocks[n].held(); held > maxHeld && n > 0 {
			break
		}
		n++
	}
	return blocks[:n], blocks[n:]
}

// held returns about how many bytes the block takes while it is counted: its counts take up to 5 times as much as they do packed.
func (b *countedBlock) held() int {
	const entry = 400
	switch {
	case b.whole:
		return 5*b.counter.span(b.summary).Length + len(b.over)*entry
	case b.scan != nil:
		return b.summary.Rows * entry
	}
	return 0
}

func (b *countedBlock) fetched() Block { return b.Block }

func (b *countedBlock) spans() []block.Span {
	switch {
	case b.err != nil:
		return nil
	case b.whole && b.addCounts == nil:
		return []block.Span{b.counter.span(b.summary)}
	case b.scan != nil:
		return b.scan.Spans()
	}
	return nil
}

func (b *countedBlock) feed(data [][]byte) {
	if b.whole && b.addCounts == nil {
		b.addCounts, b.err = b.counter.unpack(b.summary, data[0])
		return
	}
	b.err = b.scan.Feed(data)
}

// addBlock counts a block and the rows that lie over it.
func (c *counting) addBlock(b *countedBlock) {
	if b.err != nil {
		c.onDamage(c.workspaceID, b.Block, b.err)
		c.unreadable = append(c.unreadable, Range{From: b.First, To: uuid7.Next(b.Last)}.Overlap(c.ids))
		b.scan, b.whole = nil, false
	}
	var sealed []Entry
	if b.scan != nil {
		sealed = b.scan.Entries()
	}
	if b.whole {
		b.addCounts()
		for i := range sealed {
			replaced := block.GroupOf(&sealed[i])
			replaced.Calls = -replaced.Calls
			c.add(replaced)
		}
	}
	for _, e := range layOver(b.over, sealed) {
		c.add(block.GroupOf(&e))
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
