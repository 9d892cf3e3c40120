package logsvc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc/block"
)

// Searcher finds entries in a store: it lays recent rows over the blocks, newest first. It is safe for concurrent use.
type Searcher struct {
	store    Store
	decoder  *block.Decoder
	onDamage func(workspaceID string, b Block, err error)
}

// NewSearcher returns a searcher that reports each damaged block that it meets to onDamage.
func NewSearcher(store Store, onDamage func(workspaceID string, b Block, err error)) *Searcher {
	return &Searcher{store: store, decoder: block.NewDecoder(), onDamage: onDamage}
}

// List returns the newest entries of the workspace that match the filter and lie in the range. When the time of query.Budget
// is used up it stops early, with fewer entries than the limit; each call makes progress: SearchedTo is below the range's
// To. An empty range has been searched: SearchedTo is its From.
func (s *Searcher) List(ctx context.Context, query Query) (Page, error) {
	l := &listing{
		Searcher: s, query: query, page: Page{SearchedTo: query.Range.To}, steps: firstStep, blocks: 1,
	}
	if query.Filter.Endpoint != "" {
		l.blocks = min(runtime.GOMAXPROCS(0), firstStep.blocks) // matches are rarer than with other filters
	}
	if query.Range.Empty() {
		l.page.SearchedTo = query.Range.From
	}
	if query.Budget > 0 {
		l.until = time.Now().Add(query.Budget)
	}
	for !l.complete() {
		if err := l.step(ctx); err != nil && !errors.Is(err, ErrBlockGone) {
			return Page{}, fmt.Errorf("list request logs of %s: %w", query.WorkspaceID, err)
		}
	}
	if len(l.page.Entries) > query.Limit {
		l.page.Entries = l.page.Entries[:query.Limit]
		l.page.SearchedTo = l.page.Entries[query.Limit-1].ID
	}
	searched := Range{From: l.page.SearchedTo, To: query.Range.To}
	l.page.Unreadable = slices.DeleteFunc(l.page.Unreadable, func(r Range) bool { return r.Overlap(searched).Empty() })
	return l.page, nil
}

// Get returns the entry of this workspace and id; found is false where there is none. It returns a fault if the id lies in a
// damaged block.
func (s *Searcher) Get(ctx context.Context, workspaceID string, id uuid.UUID) (entry Entry, found bool, err error) {
	page, err := s.List(ctx, Query{WorkspaceID: workspaceID, Range: Range{From: id, To: uuid7.Next(id)}, Limit: 1})
	switch {
	case err != nil:
		return Entry{}, false, err
	case len(page.Unreadable) > 0:
		return Entry{}, false, fault.New(fault.RequestLogUnreadable, "the storage of this time is damaged")
	case len(page.Entries) > 0:
		return page.Entries[0], true, nil
	}
	return Entry{}, false, nil
}

// stepSize is how many rows and blocks a listing looks at before it looks at its budget again.
type stepSize struct{ rows, blocks int }

var (
	firstStep = stepSize{rows: 200, blocks: 4}
	maxStep   = stepSize{rows: 5_000, blocks: 256}
)

// listing is the state of one List. It looks for one entry more than the limit: if it finds one, there are more.
type listing struct {
	*Searcher
	query Query
	page  Page
	// until is when the budget is used up; zero = never.
	until time.Time
	steps stepSize
	// blocks is how many blocks are fetched at once: more each time, because the first ones often fill the page.
	blocks int
}

// complete reports whether the listing ends here. It does not walk on for the one entry above the limit.
func (l *listing) complete() bool {
	if len(l.page.Entries) >= l.query.Limit || l.page.SearchedTo == l.query.Range.From {
		return true
	}
	return l.late() && l.page.SearchedTo != l.query.Range.To
}

func (l *listing) late() bool { return !l.until.IsZero() && !time.Now().Before(l.until) }

// room returns how many more entries the listing takes.
func (l *listing) room() int { return l.query.Limit + 1 - len(l.page.Entries) }

// step searches the next rows and blocks below page.SearchedTo.
func (l *listing) step(ctx context.Context) error {
	view, err := l.store.View(ctx, ViewQuery{
		WorkspaceID: l.query.WorkspaceID, Range: Range{From: l.query.Range.From, To: l.page.SearchedTo}, Filter: l.query.Filter,
		Rows: max(l.room(), l.steps.rows), Blocks: l.steps.blocks,
	})
	if err != nil {
		return err
	}
	l.steps = stepSize{rows: min(2*l.steps.rows, maxStep.rows), blocks: min(4*l.steps.blocks, maxStep.blocks)}
	end := higher(view.RowsFrom, view.BlocksFrom)
	segments := l.segments(view, end)
	for len(segments) > 0 && l.room() > 0 && !(l.late() && l.page.SearchedTo != l.query.Range.To) {
		batch := segments[:l.batchSize(segments)]
		segments = segments[len(batch):]
		if err := fetch(ctx, l.store, l.query.WorkspaceID, batch); err != nil {
			return err
		}
		for _, seg := range batch {
			if goOn := l.add(seg); !goOn {
				return nil
			}
		}
	}
	return nil
}

// segment is a part of a view that is added as a whole: rows of no block, or a block and the rows that lie over it.
type segment struct {
	rows []Entry
	// from is the lowest id of the segment.
	from  uuid.UUID
	block Block
	// scan is nil if the segment has no block, or one that cannot have a match.
	scan *block.Scan
	err  error
}

// segments cuts a view, newest first, down to the id end.
func (l *listing) segments(view View, end uuid.UUID) []*segment {
	var all []*segment
	rows := view.Rows
	take := func(from uuid.UUID) (taken []Entry) {
		n := 0
		for n < len(rows) && !below(rows[n].ID, from) {
			n++
		}
		taken, rows = rows[:n], rows[n:]
		return taken
	}
	for _, b := range view.Blocks {
		if below(b.Last, end) {
			break
		}
		if above := uuid7.Next(b.Last); below(above, l.page.SearchedTo) {
			all = append(all, &segment{rows: take(above), from: above})
		}
		from := higher(b.First, end)
		all = append(all, l.blockSegment(b, take(from), Range{From: from, To: l.page.SearchedTo}))
	}
	return append(all, &segment{rows: take(end), from: end})
}

// blockSegment prepares the scan of a block.
func (l *listing) blockSegment(b Block, over []Entry, ids Range) *segment {
	seg := &segment{rows: over, from: ids.From, block: b}
	summary, err := parse(l.decoder, b)
	if err != nil {
		seg.err = err
		return seg
	}
	if len(over) == 0 && !summary.MayMatch(l.query.Filter) {
		return seg
	}
	query := block.ScanQuery{Filter: l.query.Filter, From: ids.From, To: ids.To, Limit: l.room() + len(over)}
	for _, e := range over {
		query.Always = append(query.Always, e.ID)
	}
	seg.scan = l.decoder.NewScan(summary, query)
	return seg
}

// batchSize returns how many segments are fetched together, at least one.
func (l *listing) batchSize(segments []*segment) int {
	blocks := 0
	for i, seg := range segments {
		if len(seg.spans()) == 0 {
			continue
		}
		if blocks++; blocks > l.blocks {
			l.blocks *= 2
			return i
		}
	}
	return len(segments)
}

func (s *segment) fetched() Block { return s.block }

func (s *segment) spans() []block.Span {
	if s.scan == nil || s.err != nil {
		return nil
	}
	return s.scan.Spans()
}

func (s *segment) feed(data [][]byte) { s.err = s.scan.Feed(data) }

// add adds the matches of a segment to the page, and reports whether the next segment follows it.
func (l *listing) add(seg *segment) (goOn bool) {
	var sealed []Entry
	from := seg.from
	if seg.err != nil {
		l.onDamage(l.query.WorkspaceID, seg.block, seg.err)
		damaged := Range{From: seg.block.First, To: uuid7.Next(seg.block.Last)}
		l.page.Unreadable = append(l.page.Unreadable, damaged.Overlap(Range{From: seg.from, To: l.page.SearchedTo}))
	} else if seg.scan != nil {
		sealed, from = seg.scan.Entries(), seg.scan.SearchedTo()
	}
	for _, e := range layOver(seg.rows, sealed) {
		if below(e.ID, from) || l.room() == 0 {
			break
		}
		e.WorkspaceID = l.query.WorkspaceID
		if l.query.Filter.Match(&e) {
			l.page.Entries = append(l.page.Entries, e)
		}
	}
	if l.room() == 0 {
		return false
	}
	l.page.SearchedTo = from
	return from == seg.from
}

// layOver merges recent rows over sealed entries; both are, and the result is, by descending id.
func layOver(rows, sealed []Entry) []Entry {
	if len(sealed) == 0 {
		return rows
	}
	if len(rows) == 0 {
		return sealed
	}
	all := make([]Entry, 0, len(rows)+len(sealed))
	for len(rows) > 0 && len(sealed) > 0 {
		switch order := bytes.Compare(rows[0].ID[:], sealed[0].ID[:]); {
		case order > 0:
			all, rows = append(all, rows[0]), rows[1:]
		case order < 0:
			all, sealed = append(all, sealed[0]), sealed[1:]
		default:
			all = append(all, Merge(sealed[0], rows[0]))
			rows, sealed = rows[1:], sealed[1:]
		}
	}
	return append(append(all, rows...), sealed...)
}

func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// below reports whether a is a lower id than b.
func below(a, b uuid.UUID) bool { return compare(a, b) < 0 }

func higher(a, b uuid.UUID) uuid.UUID {
	if below(a, b) {
		return b
	}
	return a
}
