package storetest

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// exportOnce exports acme, and expects what walkOnce does. It calls between after each page.
func (f *fixture) exportOnce(calls, before []logsvc.Entry, between func()) {
	f.Helper()
	service := logsvc.NewService(f.store, logsvc.Config{
		Retention: 30 * day, SearchBudget: time.Minute, Now: func() time.Time { return f.now },
	})
	seen := map[uuid.UUID]int{}
	query := logsvc.Query{WorkspaceID: f.scoped(acme), Range: f.everything(), Limit: 9}
	err := service.Export(f.Context(), query, func(page logsvc.Page, _ bool) error {
		for _, e := range page.Entries {
			seen[e.ID]++
		}
		between()
		return nil
	})
	if err != nil {
		f.Fatalf("Export: %v", err)
	}
	f.expectOnce(seen, calls, before)
}

// exportsDuringSeal exports while rows arrive and are sealed: from one page to the next, and all the time.
func exportsDuringSeal(f *fixture) {
	calls := f.mixedCalls(120)
	before, during := everySecond(calls)
	f.recordRows(before[:len(before)/2])
	f.fold()
	f.recordRows(before[len(before)/2:])
	n := 0
	f.exportOnce(calls, before, func() {
		f.recordRows(during[n : n+1])
		if n++; n%3 == 0 {
			f.fold()
		}
	})
	stop := f.sealing(2)
	defer stop()
	var group sync.WaitGroup
	group.Go(func() { f.recordIn(during[n:], 5) })
	defer group.Wait()
	for range 3 {
		f.exportOnce(calls, before, func() {})
	}
}
