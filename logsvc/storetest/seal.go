package storetest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var sealSentences = []sentence{
	{"nothing is lost, doubled or changed", sealsEverything},
	{"a pass with nothing to do changes nothing", sealsOnce},
	{"rows within the grace stay", graceKeepsRows},
	{"few rows wait until their day is over, and small blocks are joined then", fewRowsWait},
	{"small blocks are joined although no row is left to seal", joinsWithoutRows},
	{"rows that arrive later are folded in by the first pass of a day", foldsLateRows},
	{"late reports before, during and after it lose nothing", lateReports},
	{"a pass that breaks off is repeated without harm", sealsAfterError},
	{"another sealer at the same moment changes nothing, even without the lock", sealsWithoutLock},
	{"a summary during which rows are sealed counts them once", countsWhatIsSealedMeanwhile},
	{"a purge at the same moment leaves nothing that was there, even without the lock", purgesWithoutLock},
}

// allSealed fails unless the workspace has no recent rows, and blocks of about blockRows rows, each of one UTC day.
func (f *fixture) allSealed(workspaceID string) {
	f.Helper()
	rows, _ := f.viewed(logsvc.ViewQuery{WorkspaceID: workspaceID, Range: f.everything(), Rows: 1000, Blocks: 1})
	if len(rows) > 0 {
		f.Errorf("%d rows of %s are not sealed, the newest of %s", len(rows), workspaceID, rows[0].Time())
	}
	f.soundBlocks(workspaceID)
}

// soundBlocks returns the blocks of a workspace, newest first; they must not overlap, and must not be too large.
func (f *fixture) soundBlocks(workspaceID string) []logsvc.Block {
	f.Helper()
	_, blocks := f.viewed(logsvc.ViewQuery{WorkspaceID: workspaceID, Range: f.everything(), Rows: 1, Blocks: 1000})
	for i, b := range blocks {
		switch first, last := uuid7.Time(b.First), uuid7.Time(b.Last); {
		case i > 0 && newestFirst(logsvc.Entry{ID: blocks[i-1].First}, logsvc.Entry{ID: b.Last}) >= 0:
			f.Errorf("the block that begins at %s overlaps the one before", first)
		case !first.Truncate(day).Equal(last.Truncate(day)):
			f.Errorf("a block reaches from %s to %s", first, last)
		case b.Rows > blockRows+blockRows/3:
			f.Errorf("a block has %d rows", b.Rows)
		}
	}
	return blocks
}

func sealsEverything(f *fixture) {
	w := newRandomWalk(f, rand.New(rand.NewPCG(1, 8)))
	for range 3 {
		w.arrive(200)
		f.fold()
		for _, workspaceID := range w.workspaces {
			want := w.model.list(workspaceID, logsvc.Filter{}, f.everything())
			f.allSealed(workspaceID)
			f.holds(workspaceID, want...)
			f.holdsEach(want...)
			f.summarizesOnce(workspaceID, f.everything(), want)
		}
	}
}

func sealsOnce(f *fixture) {
	calls := f.mixedCalls(33)
	f.recordRows(calls)
	f.fold()
	before := f.soundBlocks(acme)
	f.seal()
	f.fold()
	if err := f.newSealer(f.store).Seal(f.Context()); err != nil {
		f.Errorf("Seal: %v", err)
	}
	sameID := func(a, b logsvc.Block) bool { return a.ID == b.ID }
	if after := f.soundBlocks(acme); len(before) < 3 || !slices.EqualFunc(before, after, sameID) {
		f.Errorf("%d blocks became %d others", len(before), len(after))
	}
	f.holds(acme, calls...)
}

// setClock sets the sealer's clock.
func (f *fixture) setClock(t time.Time) { f.ahead.Store(int64(t.Sub(f.now))) }

// rows returns the recent rows of acme, newest first.
func (f *fixture) rows() []logsvc.Entry {
	f.Helper()
	rows, _ := f.viewed(logsvc.ViewQuery{WorkspaceID: acme, Range: f.everything(), Rows: 1000, Blocks: 1})
	return rows
}

func graceKeepsRows(f *fixture) {
	noon := f.now.Truncate(day).Add(-12 * time.Hour)
	old := f.callsBefore(noon.Add(-15*time.Minute-time.Second), 2*blockRows)
	young := f.callsBefore(noon.Add(-14*time.Minute), 2*blockRows)
	f.recordRows(append(young, old...))
	f.setClock(noon)
	f.seal()
	f.same(f.rows(), young)
	f.setClock(noon.Add(2 * time.Minute))
	f.seal()
	f.same(f.rows(), nil)
	f.holds(acme, append(young, old...)...)
}

func fewRowsWait(f *fixture) {
	midnight := f.now.Truncate(day)
	calls := f.callsBefore(midnight.Add(-12*time.Hour), 3*sealRows+3)
	f.setClock(midnight.Add(-10 * time.Hour))
	for _, rows := range [][]logsvc.Entry{calls[3+2*sealRows:], calls[3+sealRows : 3+2*sealRows], calls[3 : 3+sealRows]} {
		f.recordRows(rows)
		f.seal()
		f.same(f.rows(), nil)
	}
	f.recordRows(calls[:3])
	for _, at := range []time.Duration{-10 * time.Hour, -time.Minute, 14 * time.Minute} {
		f.setClock(midnight.Add(at))
		f.seal()
		f.same(f.rows(), calls[:3])
	}
	f.setClock(midnight.Add(16 * time.Minute))
	f.seal()
	f.allSealed(acme)
	f.holds(acme, calls...)
	if blocks := f.soundBlocks(acme); len(blocks) != 2 {
		f.Errorf("%d blocks at the end of the day, want the four joined to two", len(blocks))
	}
}

func joinsWithoutRows(f *fixture) {
	midnight := f.now.Truncate(day)
	calls := f.callsBefore(midnight.Add(-12*time.Hour), 2*sealRows)
	f.setClock(midnight.Add(-10 * time.Hour))
	for _, rows := range [][]logsvc.Entry{calls[sealRows:], calls[:sealRows]} {
		f.recordRows(rows)
		f.seal()
		f.same(f.rows(), nil)
	}
	if blocks := f.soundBlocks(acme); len(blocks) != 2 {
		f.Errorf("%d blocks before the end of the day", len(blocks))
	}
	f.setClock(midnight.Add(16 * time.Minute))
	f.seal()
	f.holds(acme, calls...)
	if blocks := f.soundBlocks(acme); len(blocks) != 1 {
		f.Errorf("%d blocks at the end of the day, want the two joined", len(blocks))
	}
}

func foldsLateRows(f *fixture) {
	calls := f.callsOfADay(20)
	even, odd := everySecond(calls)
	f.recordRows(even)
	f.fold()
	f.recordRows(append([]logsvc.Entry{counted(even[4], 7)}, odd...))
	even[4].CallCount = 7
	f.fold()
	f.allSealed(acme)
	before := f.soundBlocks(acme)
	f.recordRows([]logsvc.Entry{counted(odd[3], 9)})
	odd[3].CallCount = 9
	f.seal() // the day has had its first pass
	f.same(f.rows(), odd[3:4])
	f.fold()
	f.allSealed(acme)
	kept := func(b logsvc.Block) bool {
		return slices.ContainsFunc(before, func(old logsvc.Block) bool { return old.ID == b.ID })
	}
	if after := slices.DeleteFunc(f.soundBlocks(acme), kept); len(after) != 1 {
		f.Errorf("one late row rewrote %d blocks", len(after))
	}
	m := model{}
	m.record(append(even, odd...)...)
	f.holds(acme, m.list(acme, logsvc.Filter{}, f.everything())...)
}

// lateReports records the calls of a pass in progress, and their reports while the pass carries out each of its changes.
func lateReports(f *fixture) {
	calls := f.callsOfADay(26)
	m := model{}
	record := func(entries ...logsvc.Entry) {
		m.record(entries...)
		f.recordRows(entries)
	}
	for _, call := range calls[:25] {
		record(fromReport(inProgress(call)))
	}
	next := 0
	store := &hooked{Store: f.store, beforeReplace: func() {
		for range 3 {
			record(calls[next%25], counted(calls[(next+11)%25], next), f.call(36*time.Hour-time.Duration(next)))
			next += 4
		}
	}}
	f.sealer = f.newSealer(store)
	for range 4 {
		f.fold()
		f.holds(acme, m.list(acme, logsvc.Filter{}, f.everything())...)
		f.summarizesOnce(acme, f.everything(), m.list(acme, logsvc.Filter{}, f.everything()))
		f.soundBlocks(acme)
	}
	if store.beforeReplace = nil; next == 0 {
		f.Fatal("no change was carried out")
	}
	f.fold()
	f.allSealed(acme)
	f.holds(acme, m.list(acme, logsvc.Filter{}, f.everything())...)
}

// sealsAfterError breaks off pass after pass: when change number n has been carried out, its caller gets an error.
func sealsAfterError(f *fixture) {
	problem := errors.New("the connection was lost")
	calls := f.mixedCalls(30)
	even, odd := everySecond(calls)
	for n := range 8 {
		changes := 0
		fail := func() error {
			if changes++; changes == n {
				return problem
			}
			return nil
		}
		store := &hooked{Store: f.store, afterReplace: fail}
		f.sealer = f.newSealer(store)
		f.recordRows(even)
		f.ahead.Add(int64(day))
		if err := f.sealer.Seal(f.Context()); !isError(err, problem) && (err != nil || changes >= n && n > 0) {
			f.Errorf("Seal returned %v after %d changes, of which %d failed", err, changes, n)
		}
		store.afterReplace = nil
		f.recordRows(odd)
		f.seal()
		f.holds(acme, calls...)
		f.fold()
		f.allSealed(acme)
		f.holds(acme, calls...)
		f.purge(acme, uuid.Max)
	}
}

// sealsWithoutLock has a second sealer do everything before the first one's change is carried out.
func sealsWithoutLock(f *fixture) {
	calls := f.mixedCalls(30)
	even, odd := everySecond(calls)
	second := f.newSealer(&hooked{Store: f.store, unlocked: true})
	passes := 0
	first := f.newSealer(&hooked{Store: f.store, unlocked: true, beforeReplace: func() {
		if passes++; passes%2 == 1 {
			if err := second.Seal(f.Context()); err != nil {
				f.Errorf("Seal: %v", err)
			}
		}
	}})
	f.sealer = first
	for _, batch := range [][]logsvc.Entry{even, odd, calls} {
		f.recordRows(batch)
		f.fold()
	}
	f.holds(acme, calls...)
	f.fold()
	f.fold()
	f.allSealed(acme)
	f.holds(acme, calls...)
	f.summarizesOnce(acme, f.everything(), calls)
}

// purgesWithoutLock purges before the changes of a pass, each time up to another call.
func purgesWithoutLock(f *fixture) {
	for _, upTo := range []int{0, 3, 7, 15, 29} {
		calls := f.mixedCalls(30)
		even, odd := everySecond(calls)
		purger := f.newSealer(&hooked{Store: f.store, unlocked: true})
		f.recordRows(even)
		f.fold()
		f.recordRows(append(odd, even[:5]...))
		purged, until := false, time.Now().Add(time.Minute)
		f.sealer = f.newSealer(&hooked{Store: f.store, unlocked: true, beforeReplace: func() {
			for more := !purged; more; {
				var err error
				if _, more, err = purger.Purge(f.Context(), f.scoped(acme), calls[upTo].ID, until); err != nil {
					f.Fatalf("Purge: %v", err)
				}
			}
			purged = true
		}})
		f.fold()
		f.holds(acme, calls[:upTo]...)
		f.fold()
		f.allSealed(acme)
		f.holds(acme, calls[:upTo]...)
		f.purge(acme, uuid.Max)
	}
}

// countsWhatIsSealedMeanwhile seals before each step of summaries: one new row, which becomes part of the newest block, and many.
func countsWhatIsSealedMeanwhile(f *fixture) {
	calls := f.mixedCalls(60)
	f.recordRows(calls[40:])
	f.fold()
	known := 40
	for i, rows := range []int{1, 1, 9, 1, 3, 1, 1, 12} {
		known -= rows
		f.recordRows(calls[known : known+rows])
		f.recordRows(calls[50:52]) // again
		steps := 0
		own := *f
		own.searcher = logsvc.NewSearcher(&hooked{Store: f.store, beforeFetch: func() {
			if steps++; steps == 1+i%3 {
				f.fold()
			}
		}}, nil)
		own.summarizesOnce(acme, f.everything(), calls[known:])
	}
}
