package storetest

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

var damageSentences = []sentence{
	{"a list names the range of a damaged block, and returns everything else", listsAroundDamage},
	{"Get of an id in a damaged block returns an error, also if a row lies over it", getsFromDamage},
	{"a summary names the range of a damaged block, and counts everything else", summarizesAroundDamage},
	{"rows that lie over a damaged block are shown, and stay", rowsOverDamage},
	{"everything else is sealed, and the damaged block stays", sealsAroundDamage},
	{"a purge deletes a damaged block", purgesDamage},
	{"Verify reads every block, and reports the damaged one", verifiesDamage},
}

// damages are ways in which a block is damaged.
var damages = []struct {
	name   string
	damage func(*logsvc.SealedBlock)
}{
	{"other bytes", func(b *logsvc.SealedBlock) {
		for i := range b.Data {
			b.Data[i] ^= 0x5a
		}
	}},
	{"the first bytes of the data", func(b *logsvc.SealedBlock) { b.Data = b.Data[:10] }},
	{"no data", func(b *logsvc.SealedBlock) { b.Data = []byte{} }},
	{"another summary", func(b *logsvc.SealedBlock) { b.Summary = []byte("summary") }},
	{"a summary with a wrong bit", func(b *logsvc.SealedBlock) { b.Summary[len(b.Summary)/2] ^= 1 }},
	{"another first id in its row", func(b *logsvc.SealedBlock) {
		b.First = uuid7.First(uuid7.Time(b.First).Add(-time.Millisecond))
	}},
	{"another last id in its row", func(b *logsvc.SealedBlock) {
		b.Last = uuid7.First(uuid7.Time(b.Last).Add(time.Millisecond))
	}},
	{"another number of rows in its row", func(b *logsvc.SealedBlock) { b.Rows++ }},
}

// damaged records and seals 30 calls of a workspace, damages the block with call number 12, and calls do with the calls, their
// damaged range, and those outside it. It does so for each kind of damage.
func (f *fixture) damaged30(do func(workspaceID string, calls, rest []logsvc.Entry, lost logsvc.Range)) {
	for i, kind := range damages {
		workspaceID := string(rune('a' + i))
		calls := f.callsOfADay(30)
		for j := range calls {
			calls[j].WorkspaceID = workspaceID
		}
		f.recordRows(calls)
		f.fold()
		lost := f.damage(workspaceID, calls[12].ID, kind.damage)
		rest := slices.DeleteFunc(slices.Clone(calls), func(e logsvc.Entry) bool { return lost.Contains(e.ID) })
		before := f.subject.damaged.Load()
		do(workspaceID, calls, rest, lost)
		if f.subject.damaged.Load() == before {
			f.Errorf("with %s, no damage was reported", kind.name)
		}
		if f.Failed() {
			f.Fatalf("with %s", kind.name)
		}
		f.purge(workspaceID, uuid.Max)
	}
}

// damage replaces the block of an id by a damaged one, and returns its range.
func (f *fixture) damage(workspaceID string, id uuid.UUID, damage func(*logsvc.SealedBlock)) logsvc.Range {
	f.Helper()
	view := f.view(logsvc.ViewQuery{WorkspaceID: workspaceID, Range: logsvc.Range{From: id, To: uuid7.Next(id)}, Rows: 1, Blocks: 1})
	if len(view.Blocks) != 1 {
		f.Fatalf("%s is in %d blocks", id, len(view.Blocks))
	}
	old := view.Blocks[0]
	data := f.read(workspaceID, logsvc.Part{Block: old, Span: block.Span{Length: 1 << 30}})[0]
	sealed := logsvc.SealedBlock{Block: old, Data: bytes.Clone(data)}
	sealed.ID, sealed.Summary = uuid.New(), bytes.Clone(old.Summary)
	damage(&sealed)
	f.replace(workspaceID, logsvc.Change{Delete: []logsvc.Block{old}, Insert: []logsvc.SealedBlock{sealed}}, nil)
	return logsvc.Range{From: sealed.First, To: uuid7.Next(sealed.Last)}
}

// walkAround walks a workspace and expects these entries, and the one range that is unreadable.
func (f *fixture) walkAround(workspaceID string, limit int, want []logsvc.Entry, lost logsvc.Range) {
	f.Helper()
	query := logsvc.Query{WorkspaceID: f.scoped(workspaceID), Range: f.everything(), Limit: limit}
	var got []logsvc.Entry
	var unreadable []logsvc.Range
	for !query.Range.Empty() {
		page, err := f.searcher.List(f.Context(), query)
		if err != nil {
			f.Fatalf("List: %v", err)
		}
		f.progressed(query, page)
		for _, r := range page.Unreadable {
			if bytes.Compare(r.To[:], page.SearchedTo[:]) <= 0 {
				f.Errorf("a page that was searched down to %s has the unreadable range %v", page.SearchedTo, r)
			}
		}
		got, unreadable = append(got, page.Entries...), append(unreadable, page.Unreadable...)
		query.Range.To = page.SearchedTo
	}
	f.same(f.inner(got), want)
	if !covers(unreadable, lost) {
		f.Errorf("with pages of %d, unreadable is %v, want %v", limit, unreadable, lost)
	}
}

// covers reports whether ranges, newest first, are together exactly the lost one. A page that ends in a damaged block names all
// of it, and the next page names the rest again.
func covers(ranges []logsvc.Range, lost logsvc.Range) bool {
	reached := lost.To
	for _, r := range ranges {
		if r.Empty() || r.Overlap(lost) != r || bytes.Compare(r.To[:], reached[:]) < 0 {
			return false
		}
		if bytes.Compare(r.From[:], reached[:]) < 0 {
			reached = r.From
		}
	}
	return reached == lost.From
}

func listsAroundDamage(f *fixture) {
	f.damaged30(func(workspaceID string, calls, rest []logsvc.Entry, lost logsvc.Range) {
		for _, limit := range []int{1, 4, 29, 100} {
			f.walkAround(workspaceID, limit, rest, lost)
		}
	})
}

func getsFromDamage(f *fixture) {
	f.damaged30(func(workspaceID string, calls, rest []logsvc.Entry, lost logsvc.Range) {
		for _, late := range [][]logsvc.Entry{nil, {counted(calls[12], 5)}} {
			f.recordRows(late)
			for _, call := range calls {
				_, found, err := f.searcher.Get(f.Context(), f.scoped(workspaceID), call.ID)
				readable, kind := !lost.Contains(call.ID), fault.KindOf(err)
				if found != readable || (err == nil) != readable || !readable && kind != fault.DataLoss {
					f.Errorf("Get(%s) = %t, %v, and that it can be read is %t", call.ID, found, err, readable)
				}
			}
		}
	})
}

func summarizesAroundDamage(f *fixture) {
	f.damaged30(func(workspaceID string, calls, rest []logsvc.Entry, lost logsvc.Range) {
		for _, filter := range []logsvc.Filter{{}, {KeyID: calls[12].KeyID}, {Method: calls[12].Method}} {
			query := logsvc.SummaryQuery{
				WorkspaceID: f.scoped(workspaceID), Filter: filter, Range: f.everything(), Budget: time.Minute,
			}
			summary, err := f.searcher.Summarize(f.Context(), query)
			if err != nil || !covers(summary.Unreadable, lost) {
				f.Errorf("a summary of %+v could not read %v, %v, want %v", filter, summary.Unreadable, err, lost)
			}
			f.counts(summary.Counts, matches(filter, rest))
		}
		keys, unreadable, err := f.searcher.Keys(f.Context(), f.scoped(workspaceID), f.everything())
		if err != nil || !covers(unreadable, lost) {
			f.Errorf("the keys could not be read of %v, %v, want %v", unreadable, err, lost)
		}
		f.keys(keys, rest)
	})
}

func rowsOverDamage(f *fixture) {
	f.damaged30(func(workspaceID string, calls, rest []logsvc.Entry, lost logsvc.Range) {
		again := counted(calls[12], 5)
		f.recordRows([]logsvc.Entry{again})
		m := model{}
		m.record(append(rest, again)...)
		f.walkAround(workspaceID, 7, m.list(workspaceID, logsvc.Filter{}, f.everything()), lost)
		f.sealAround()
		f.walkAround(workspaceID, 7, m.list(workspaceID, logsvc.Filter{}, f.everything()), lost)
	})
}

// sealAround makes the first pass of a day, which meets the damaged block.
func (f *fixture) sealAround() {
	f.Helper()
	f.ahead.Add(int64(day))
	if err := f.sealer.Seal(f.Context()); !errors.Is(err, block.ErrDamaged) {
		f.Errorf("Seal returned %v, want %v", err, block.ErrDamaged)
	}
}

func sealsAroundDamage(f *fixture) {
	f.damaged30(func(workspaceID string, calls, rest []logsvc.Entry, lost logsvc.Range) {
		m := model{}
		m.record(rest...)
		late := []logsvc.Entry{counted(calls[12], 5), counted(calls[2], 2), counted(calls[28], 2), in(workspaceID, f.call(0))}
		m.record(late...)
		f.recordRows(late)
		f.sealAround()
		f.walkAround(workspaceID, 100, m.list(workspaceID, logsvc.Filter{}, f.everything()), lost)
		rows, _ := f.viewed(logsvc.ViewQuery{WorkspaceID: workspaceID, Range: f.everything(), Rows: 10, Blocks: 1})
		f.same(rows, late[:1])
	})
}

func purgesDamage(f *fixture) {
	f.damaged30(func(workspaceID string, calls, rest []logsvc.Entry, lost logsvc.Range) {
		f.recordRows([]logsvc.Entry{counted(calls[12], 5)})
		m := model{}
		m.record(append(rest, counted(calls[12], 5))...)
		f.walkAround(workspaceID, 100, m.list(workspaceID, logsvc.Filter{}, f.everything()), lost)
		f.purge(workspaceID, calls[5].ID)
		f.holds(workspaceID, calls[:5]...)
	})
}

func verifiesDamage(f *fixture) {
	f.damaged30(func(workspaceID string, calls, rest []logsvc.Entry, lost logsvc.Range) {
		want := logsvc.Verified{Damaged: 1}
		for _, b := range f.soundBlocks(workspaceID) {
			want.Blocks, want.Rows = want.Blocks+1, want.Rows+int64(b.Rows)
		}
		if got, err := f.searcher.Verify(f.Context()); got != want || err != nil {
			f.Errorf("Verify = %+v, %v, want %+v", got, err, want)
		}
	})
}
