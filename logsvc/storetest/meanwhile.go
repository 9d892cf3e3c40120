package storetest

import (
	"math/rand/v2"
	"sync"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var meanwhileSentences = []sentence{
	{"two sealers at once, and Record of new and old rows, lose nothing", sealsDuringRecord},
	{"a walk sees every call once", walksDuringSeal},
	{"an export has every call once", exportsDuringSeal},
	{"counts stay the same", countsDuringSeal},
	{"a purge leaves no row behind that was there", purgesDuringSeal},
	{"what has expired does not come back", expiresDuringSeal},
}

// sealing makes passes of a number of sealers until the function that it returns is called.
func (f *fixture) sealing(sealers int) (stop func()) {
	var group sync.WaitGroup
	done := make(chan struct{})
	for range sealers {
		sealer := f.newSealer(f.store)
		group.Go(func() {
			for {
				f.ahead.Add(int64(day) / int64(sealers))
				if err := sealer.Seal(f.Context()); err != nil {
					f.Errorf("Seal: %v", err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	return func() { close(done); group.Wait() }
}

// lateReported returns records of each call: in progress, described by a report, and later as it is, with others between.
func lateReported(calls []logsvc.Entry) (batch []logsvc.Entry) {
	for i, call := range calls {
		batch = append(batch, inProgress(fromReport(call)))
		if i >= 10 {
			batch = append(batch, calls[i-10], calls[i-i%7])
		}
	}
	return append(batch, calls...)
}

func sealsDuringRecord(f *fixture) {
	calls := f.mixedCalls(80)
	random := rand.New(rand.NewPCG(4, 4))
	random.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	sent, m := lateReported(calls), model{}
	m.record(sent...)
	stop := f.sealing(2)
	f.recordIn(sent, 4)
	stop()
	want := m.list(acme, logsvc.Filter{}, f.everything())
	f.holds(acme, want...)
	f.fold()
	f.fold()
	f.allSealed(acme)
	f.holds(acme, want...)
	f.summarizesOnce(acme, f.everything(), want)
}

func walksDuringSeal(f *fixture) {
	calls := f.mixedCalls(120)
	before, during := everySecond(calls)
	f.recordRows(before)
	stop := f.sealing(2)
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { f.recordIn(during, 5) })
	defer group.Wait()
	for range 3 {
		f.walkOnce(calls, before)
	}
}

func countsDuringSeal(f *fixture) {
	calls := f.mixedCalls(60)
	even, odd := everySecond(calls)
	f.recordRows(even)
	f.fold()
	f.recordRows(append(odd, even...))
	stop := f.sealing(1)
	defer stop()
	for i := range 20 {
		f.summarizesOnce(acme, f.everything(), calls)
		f.recordRows(even[i : i+1]) // again, so that there is something to fold
	}
}

// purgesDuringSeal purges while other rows are recorded and sealed.
func purgesDuringSeal(f *fixture) {
	calls := f.mixedCalls(60)
	keep, gone := calls[:20], calls[20:]
	even, odd := everySecond(gone)
	f.recordRows(even)
	f.fold()
	f.recordRows(odd)
	stop := f.sealing(2)
	var group sync.WaitGroup
	group.Go(func() { f.recordIn(keep, 3) })
	f.purge(acme, gone[0].ID)
	left := f.all(acme, logsvc.Filter{})
	group.Wait()
	stop()
	for _, e := range left {
		if newestFirst(e, gone[0]) >= 0 {
			f.Errorf("the purge has left %s", e.ID)
		}
	}
	f.holds(acme, keep...)
	f.fold()
	f.holds(acme, keep...)
}

func expiresDuringSeal(f *fixture) {
	w := newRandomWalk(f, rand.New(rand.NewPCG(5, 5)))
	w.arrive(150)
	f.fold()
	w.arrive(150)
	stop := f.sealing(1)
	for ago := 25; ago > 5; ago-- {
		f.expire(uuid7.First(f.now.Truncate(day).AddDate(0, 0, -ago)))
	}
	stop()
	first := uuid7.First(f.now.Truncate(day).AddDate(0, 0, -6))
	w.model.expire(first)
	f.fold()
	for _, workspaceID := range w.workspaces {
		want := w.model.list(workspaceID, logsvc.Filter{}, f.everything())
		f.same(f.all(workspaceID, logsvc.Filter{}), want)
		_, blocks := f.viewed(logsvc.ViewQuery{WorkspaceID: workspaceID, Range: logsvc.Range{To: first}, Rows: 1, Blocks: 1000})
		if len(blocks) > 0 {
			f.Errorf("%d blocks of %s have come back", len(blocks), workspaceID)
		}
	}
}
