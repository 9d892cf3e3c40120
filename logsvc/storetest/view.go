package storetest

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var viewSentences = []sentence{
	{"rows are recent rows in the range, by descending id, within the limit", viewsRows},
	{"blocks overlap the range, by descending id, within the limit", viewsBlocks},
	{"RowsFrom and BlocksFrom are the range's From once everything was looked at", viewReachesFrom},
	{"no other row from RowsFrom on, and no other block from BlocksFrom on, is in the range", viewIsCompleteAsFarAsItReaches},
	{"the filter leaves out no row that matches", filterKeepsMatches},
	{"the filter leaves out no row that is not above every block", lateRowsCome},
	{"rows are late below a block outside the range, too", lateBelowABlockOutside},
	{"blocks of one workspace make no row of another late or missing", viewIsOfAWorkspace},
	{"a row that is sealed meanwhile is in the rows, or in a block, or in both", sealedDuringView},
	{"a row that is folded meanwhile is in the rows, or in a block, or in both", foldedDuringView},
	{"a row that changed before it was sealed is in the rows if its block is in the blocks", changedDuringView},
}

func viewsRows(f *fixture) {
	calls := f.callsOfADay(9)
	f.recordRows(calls)
	f.recordRows([]logsvc.Entry{in(globex, calls[4]), in(globex, f.call(0))})
	inner := logsvc.Range{From: calls[6].ID, To: calls[2].ID}
	for limit := 1; limit <= len(calls)+1; limit++ {
		rows, _ := f.viewed(logsvc.ViewQuery{WorkspaceID: acme, Range: f.everything(), Rows: limit, Blocks: 1})
		f.same(rows, calls)
		rows, _ = f.viewed(logsvc.ViewQuery{WorkspaceID: acme, Range: inner, Rows: limit, Blocks: 1})
		f.same(rows, calls[3:7])
	}
}

// viewsBlocks looks at four blocks of two days, in ranges that begin and end at every edge of one of them.
func viewsBlocks(f *fixture) {
	calls := append(f.callsOfADay(9), f.callsBefore(f.now.Truncate(day).Add(-36*time.Hour), 3)...)
	blocks := []logsvc.SealedBlock{blockOf(calls[0:3]...), blockOf(calls[3:6]...), blockOf(calls[7]), blockOf(calls[9:12]...)}
	f.insert(acme, blocks...)
	f.insert(globex, blockOf(calls...))
	all := f.everything()
	ranges := []logsvc.Range{all}
	for _, at := range []int{2, 3, 4, 5, 6, 7, 8, 9, 11} {
		ranges = append(ranges, logsvc.Range{From: all.From, To: calls[at].ID}, logsvc.Range{From: calls[at].ID, To: all.To},
			logsvc.Range{From: calls[at].ID, To: uuid7.Next(calls[at].ID)}, logsvc.Range{From: calls[9].ID, To: calls[at].ID})
	}
	for _, r := range ranges {
		want := slices.Clone(blocks)
		want = slices.DeleteFunc(want, func(b logsvc.SealedBlock) bool { return r.Empty() || !overlaps(r, b.Block) })
		for limit := 1; limit <= len(want)+1; limit++ {
			_, got := f.viewed(logsvc.ViewQuery{WorkspaceID: acme, Range: r, Rows: 1, Blocks: limit})
			f.sameBlocks(got, want)
		}
	}
}

func viewReachesFrom(f *fixture) {
	calls := f.callsOfADay(6)
	f.recordRows(calls[:3])
	f.insert(acme, blockOf(calls[3:]...))
	for _, query := range []logsvc.ViewQuery{
		{WorkspaceID: acme}, {WorkspaceID: globex}, {WorkspaceID: acme, Filter: logsvc.Filter{Endpoint: "nowhere"}},
	} {
		query.Range, query.Rows, query.Blocks = f.everything(), 10, 10
		view := f.view(query)
		for range 100 { // a store may stop early
			below := query
			below.Range.To = view.RowsFrom
			if below.Range.Empty() {
				break
			}
			view.RowsFrom = f.view(below).RowsFrom
		}
		if view.RowsFrom != query.Range.From || view.BlocksFrom != query.Range.From {
			f.Errorf("View(%+v) reaches %s and %s, want %s", query, view.RowsFrom, view.BlocksFrom, query.Range.From)
		}
	}
}

func viewIsCompleteAsFarAsItReaches(f *fixture) {
	calls := f.callsOfADay(12)
	var rows []logsvc.Entry
	var blocks []logsvc.SealedBlock
	for i := 0; i < len(calls); i += 2 {
		rows = append(rows, calls[i])
		blocks = append(blocks, blockOf(calls[i+1]))
	}
	f.recordRows(rows)
	f.insert(acme, blocks...)
	for limit := range 7 {
		query := logsvc.ViewQuery{WorkspaceID: acme, Range: f.everything(), Rows: 1 + limit, Blocks: 7 - limit}
		view := f.view(query)
		f.inOrder(query, view)
		f.same(view.Rows, rows[:f.from(rows, view.RowsFrom)])
		n := 0
		for n < len(blocks) && bytes.Compare(blocks[n].Last[:], view.BlocksFrom[:]) >= 0 {
			n++
		}
		f.sameBlocks(view.Blocks, blocks[:n])
	}
}

// from returns how many of the entries, newest first, have ids from an id on.
func (f *fixture) from(entries []logsvc.Entry, id uuid.UUID) (n int) {
	for n < len(entries) && bytes.Compare(entries[n].ID[:], id[:]) >= 0 {
		n++
	}
	return n
}

var manyFilters = []logsvc.Filter{
	{StatusClass: 2}, {StatusClass: 4}, {StatusClass: 5}, {ErrorCode: "expired"}, {AgentType: "agent"}, {AgentID: "agent-2"},
	{Endpoint: "OTHER"}, {Endpoint: "%"}, {Endpoint: "é"}, {Endpoint: "nowhere"}, {KeyID: uuid.New()},
	{StatusClass: 4, Endpoint: "/v1"}, {InProgress: true}, {Method: "DELETE"},
}

// filterKeepsMatches expects every match, and nothing outside the range; a store may return what does not match.
func filterKeepsMatches(f *fixture) {
	calls := f.callsOfADay(8)
	calls[1], calls[2] = denied(calls[1], 401, "expired", ""), inProgress(calls[2])
	calls[3], calls[4].Status = redescribed(calls[3]), 503
	calls[5].Endpoint, calls[6].Endpoint = "/100%/é", "/V1/"
	f.recordRows(calls)
	for _, filter := range append(manyFilters, logsvc.Filter{KeyID: calls[0].KeyID}) {
		for _, limit := range []int{1, 3, 100} {
			query := logsvc.ViewQuery{WorkspaceID: acme, Range: f.everything(), Filter: filter, Rows: limit, Blocks: 1}
			rows, _ := f.viewed(query)
			f.includes(rows, matches(filter, calls))
		}
	}
}

// includes fails unless each wanted entry is among the others.
func (f *fixture) includes(got, want []logsvc.Entry) {
	f.Helper()
	for _, e := range want {
		if !slices.Contains(got, e) {
			f.Errorf("among %d entries there is no %+v", len(got), e)
		}
	}
}

// lateRowsCome has a row above all blocks, and rows over, between and below them.
func lateRowsCome(f *fixture) {
	calls := f.callsOfADay(12)
	f.insert(acme, blockOf(calls[2:5]...), blockOf(calls[7:9]...))
	f.recordRows(calls)
	for _, filter := range append(manyFilters, logsvc.Filter{}) {
		for _, limit := range []int{1, 4, 100} {
			query := logsvc.ViewQuery{WorkspaceID: acme, Range: f.everything(), Filter: filter, Rows: limit, Blocks: 1}
			rows, _ := f.viewed(query)
			f.includes(rows, append(matches(filter, calls[:2]), calls[2:]...))
		}
	}
}

func lateBelowABlockOutside(f *fixture) {
	calls := f.callsOfADay(6)
	f.insert(acme, blockOf(calls[0:2]...))
	f.recordRows(calls[2:])
	query := logsvc.ViewQuery{
		WorkspaceID: acme, Range: logsvc.Range{From: calls[4].ID, To: calls[2].ID}, Filter: logsvc.Filter{Endpoint: "nowhere"},
		Rows: 100, Blocks: 1,
	}
	rows, blocks := f.viewed(query)
	f.same(rows, calls[3:5])
	f.sameBlocks(blocks, nil)
}

func viewIsOfAWorkspace(f *fixture) {
	calls := f.callsOfADay(4)
	sealed := blockOf(calls...)
	f.insert(acme, sealed)
	f.recordRows([]logsvc.Entry{in(globex, calls[1]), in(globex, calls[2])})
	f.stores(acme, nil, sealed)
	f.stores(globex, []logsvc.Entry{in(globex, calls[1]), in(globex, calls[2])})
	f.stores("acm%", nil)
}

// sealedDuringView seals rows one by one while it views them.
func sealedDuringView(f *fixture) {
	calls := f.callsOfADay(60)
	f.recordRows(calls)
	f.seenDuring(calls, func() {
		for _, i := range everyThird(len(calls)) {
			f.moves(logsvc.Change{Rows: calls[i : i+1], Insert: []logsvc.SealedBlock{blockOf(calls[i])}})
		}
	})
}

// everyThird returns the numbers below n, those that 3 divides first.
func everyThird(n int) (numbers []int) {
	for first := range 3 {
		for i := first; i < n; i += 3 {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// foldedDuringView moves rows one by one into a block that it rewrites each time.
func foldedDuringView(f *fixture) {
	calls := f.callsOfADay(60)
	sealed := blockOf(calls[0])
	f.insert(acme, sealed)
	f.recordRows(calls[1:])
	f.seenDuring(calls, func() {
		for i := range calls[1:] {
			larger := blockOf(calls[:i+2]...)
			f.moves(logsvc.Change{
				Rows: calls[i+1 : i+2], Delete: []logsvc.Block{sealed.Block}, Insert: []logsvc.SealedBlock{larger},
			})
			sealed = larger
		}
	})
}

// moves is a Replace of acme that may run beside the test.
func (f *fixture) moves(change logsvc.Change) {
	change.Rows = f.outer(change.Rows)
	if err := f.store.Replace(f.Context(), f.scoped(acme), change); err != nil {
		f.Errorf("Replace: %v", err)
	}
}

// changedDuringView seals rows that have changed since they were read: the block has the older version, and may not be seen
// without the newer one, whether that matches the filter or not.
func changedDuringView(f *fixture) {
	calls := f.callsOfADay(80)
	query := logsvc.ViewQuery{
		WorkspaceID: acme, Range: f.everything(), Filter: logsvc.Filter{Endpoint: "nowhere"},
		Rows: len(calls), Blocks: len(calls),
	}
	f.during(func() {
		for i := range calls {
			call := calls[len(calls)-1-i]
			f.recordIn([]logsvc.Entry{inProgress(call), call}, 2)
			f.moves(logsvc.Change{Rows: []logsvc.Entry{inProgress(call)}, Insert: []logsvc.SealedBlock{blockOf(call)}})
		}
	}, func() {
		view := f.view(query)
		for _, b := range view.Blocks {
			inRows := slices.ContainsFunc(view.Rows, func(e logsvc.Entry) bool { return e.ID == b.Last })
			if !inRows && bytes.Compare(b.Last[:], view.RowsFrom[:]) >= 0 {
				f.Errorf("of %d blocks, %s has a newer version that is not in the rows", len(view.Blocks), b.Last)
			}
		}
	})
}

// seenDuring expects every call in each view, as far as it reaches, while move works.
func (f *fixture) seenDuring(calls []logsvc.Entry, move func()) {
	f.during(move, func() {
		view := f.view(logsvc.ViewQuery{WorkspaceID: acme, Range: f.everything(), Rows: len(calls), Blocks: len(calls)})
		reached := min(f.from(calls, view.RowsFrom), f.from(calls, view.BlocksFrom))
		for _, call := range calls[:reached] {
			inRows := slices.ContainsFunc(view.Rows, func(e logsvc.Entry) bool { return e.ID == call.ID })
			one := logsvc.Range{From: call.ID, To: uuid7.Next(call.ID)}
			if !inRows && !slices.ContainsFunc(view.Blocks, func(b logsvc.Block) bool { return overlaps(one, b) }) {
				f.Errorf("%s is neither in the %d rows nor in the %d blocks", call.ID, len(view.Rows), len(view.Blocks))
			}
		}
	})
}

// during calls check again and again while move works, and once afterwards.
func (f *fixture) during(move, check func()) {
	var group sync.WaitGroup
	done := make(chan struct{})
	group.Go(func() { defer close(done); move() })
	defer group.Wait()
	for moving := true; moving; check() {
		select {
		case <-done:
			moving = false
		default:
		}
	}
}
