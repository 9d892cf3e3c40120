package storetest

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

// The tests of the store itself use blocks whose summary and data are any bytes: a store does not look into them.

// blockOf returns a block that stands for calls.
func blockOf(calls ...logsvc.Entry) logsvc.SealedBlock {
	sorted := slices.SortedFunc(slices.Values(calls), newestFirst)
	last, first := sorted[0].ID, sorted[len(sorted)-1].ID
	return logsvc.SealedBlock{
		Block: logsvc.Block{
			ID: uuid.New(), First: first, Last: last, Rows: len(calls), Summary: []byte("summary of " + first.String()),
		},
		Data: []byte("data of " + first.String()),
	}
}

// insert stores blocks in a workspace.
func (f *fixture) insert(workspaceID string, blocks ...logsvc.SealedBlock) {
	f.Helper()
	f.replace(workspaceID, logsvc.Change{Insert: blocks}, nil)
}

// replace fails unless Replace returns an error like want.
func (f *fixture) replace(workspaceID string, change logsvc.Change, want error) {
	f.Helper()
	change.Rows = f.outer(change.Rows)
	if err := f.store.Replace(f.Context(), f.scoped(workspaceID), change); !isError(err, want) {
		f.Fatalf("Replace returned %v, want %v", err, want)
	}
}

func (f *fixture) view(query logsvc.ViewQuery) logsvc.View {
	f.Helper()
	view, err := f.tryView(f.Context(), query)
	if err != nil {
		f.Fatalf("View(%+v): %v", query, err)
	}
	view.Rows = f.inner(view.Rows)
	return view
}

func (f *fixture) tryView(ctx context.Context, query logsvc.ViewQuery) (logsvc.View, error) {
	query.WorkspaceID = f.scoped(query.WorkspaceID)
	return f.store.View(ctx, query)
}

// viewed returns all rows and blocks of a query, in as many views as that takes, and fails if one of them breaks the contract:
// too many, out of order, outside the range, or without progress.
func (f *fixture) viewed(query logsvc.ViewQuery) (rows []logsvc.Entry, blocks []logsvc.Block) {
	f.Helper()
	all := query.Range
	for below := query; !below.Range.Empty(); {
		view := f.view(below)
		f.inOrder(below, view)
		rows = append(rows, view.Rows...)
		below.Range.To = view.RowsFrom
	}
	for below := query; !below.Range.Empty(); {
		view := f.view(below)
		f.inOrder(below, view)
		blocks = append(blocks, view.Blocks...)
		below.Range = logsvc.Range{From: all.From, To: view.BlocksFrom}
	}
	return rows, blocks
}

func (f *fixture) inOrder(query logsvc.ViewQuery, view logsvc.View) {
	f.Helper()
	from := func(reached uuid.UUID) logsvc.Range { return logsvc.Range{From: reached, To: query.Range.To} }
	for _, reached := range []uuid.UUID{view.RowsFrom, view.BlocksFrom} {
		if !query.Range.Contains(reached) {
			f.Fatalf("View(%+v) reaches %s, outside its range", query, reached)
		}
	}
	for i, row := range view.Rows {
		if !from(view.RowsFrom).Contains(row.ID) || i > 0 && bytes.Compare(row.ID[:], view.Rows[i-1].ID[:]) >= 0 {
			f.Fatalf("View(%+v) returned row %d, %s, out of order; it reaches %s", query, i, row.ID, view.RowsFrom)
		}
	}
	for i, b := range view.Blocks {
		if !overlaps(query.Range, b) || i > 0 && bytes.Compare(b.Last[:], view.Blocks[i-1].First[:]) >= 0 {
			f.Fatalf("View(%+v) returned block %d, %s to %s, out of order", query, i, b.First, b.Last)
		}
	}
	if len(view.Rows) > query.Rows || len(view.Blocks) > query.Blocks {
		f.Fatalf("View(%+v) returned %d rows and %d blocks", query, len(view.Rows), len(view.Blocks))
	}
}

// stores fails unless the workspace has exactly these recent rows, newest first, and blocks, newest first.
func (f *fixture) stores(workspaceID string, rows []logsvc.Entry, blocks ...logsvc.SealedBlock) {
	f.Helper()
	query := logsvc.ViewQuery{WorkspaceID: workspaceID, Range: f.everything(), Rows: 1000, Blocks: 1000}
	gotRows, gotBlocks := f.viewed(query)
	f.same(gotRows, rows)
	f.sameBlocks(gotBlocks, blocks)
	for i, b := range blocks {
		data := f.read(workspaceID, logsvc.Part{Block: gotBlocks[i], Span: block.Span{Length: len(b.Data)}})
		if !bytes.Equal(data[0], b.Data) {
			f.Errorf("block %s has %d bytes of other data", b.ID, len(data[0]))
		}
	}
}

func (f *fixture) sameBlocks(got []logsvc.Block, want []logsvc.SealedBlock) {
	f.Helper()
	equal := func(a logsvc.Block, b logsvc.SealedBlock) bool {
		return a.ID == b.ID && a.First == b.First && a.Last == b.Last && a.Rows == b.Rows && bytes.Equal(a.Summary, b.Summary)
	}
	if !slices.EqualFunc(got, want, equal) {
		f.Fatalf("got %d blocks:\n%+v\nwant %d:\n%+v", len(got), got, len(want), want)
	}
}

func (f *fixture) read(workspaceID string, parts ...logsvc.Part) [][]byte {
	f.Helper()
	data, err := f.store.Read(f.Context(), f.scoped(workspaceID), parts)
	if err != nil || len(data) != len(parts) {
		f.Fatalf("Read returned %d of %d parts, %v", len(data), len(parts), err)
	}
	return data
}

// gone fails unless Read returns ErrBlockGone for each of the blocks.
func (f *fixture) gone(workspaceID string, blocks ...logsvc.SealedBlock) {
	f.Helper()
	for _, b := range blocks {
		part := logsvc.Part{Block: b.Block, Span: block.Span{Length: 1}}
		if _, err := f.store.Read(f.Context(), f.scoped(workspaceID), []logsvc.Part{part}); !isError(err, logsvc.ErrBlockGone) {
			f.Errorf("Read of block %s returned %v, want %v", b.ID, err, logsvc.ErrBlockGone)
		}
	}
}

func overlaps(r logsvc.Range, b logsvc.Block) bool {
	return bytes.Compare(r.From[:], b.Last[:]) <= 0 && bytes.Compare(b.First[:], r.To[:]) < 0
}
