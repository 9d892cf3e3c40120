package storetest

import (
	"context"
	"time"

	"github.com/keytrail/keytrail/logsvc"
)

var recordRowsSentences = []sentence{
	{"all of them or none", allOrNone},
	{"all of them or none are seen by a reader", seenAsAWhole},
	{"a batch may be empty, and may be large", anySize},
	{"blocks are not looked at", recordLooksAtNoBlock},
}

// allOrNone cancels batches after several fractions of the time that one takes.
func allOrNone(f *fixture) {
	started := time.Now()
	f.recordRows(f.calls(200))
	duration := time.Since(started)
	for i := range 6 {
		batch := f.calls(200)
		for j := range batch {
			batch[j].WorkspaceID = string(rune('a' + i))
		}
		ctx, cancel := context.WithTimeout(f.Context(), duration*time.Duration(i)/5)
		err := f.store.Record(ctx, f.outer(batch))
		cancel()
		stored := len(f.all(batch[0].WorkspaceID, logsvc.Filter{}))
		if stored != 0 && stored != len(batch) || err == nil && stored == 0 {
			f.Errorf("Record stored %d of %d entries and returned %v", stored, len(batch), err)
		}
	}
}

// seenAsAWhole views while batches arrive: each has calls of two days, and more than a store may put into one statement.
func seenAsAWhole(f *fixture) {
	const size = 130
	f.during(func() {
		for range 8 {
			batch := f.calls(size)
			for i := range size / 2 {
				batch[i].ID = f.call(day).ID
			}
			f.recordIn(batch, size)
		}
	}, func() {
		view := f.view(logsvc.ViewQuery{WorkspaceID: acme, Range: f.everything(), Rows: 10_000, Blocks: 1})
		if len(view.Rows)%size != 0 {
			f.Errorf("%d rows are there, of batches of %d", len(view.Rows), size)
		}
	})
}

func anySize(f *fixture) {
	f.recordRows(nil)
	batch := f.calls(1050)
	f.recordRows(append(batch, reported(batch[0], 500, "", 0))) // far behind the first, which is kept
	f.stores(acme, batch)
}

// recordLooksAtNoBlock records calls that a block has: they are rows like any other.
func recordLooksAtNoBlock(f *fixture) {
	calls := f.callsOfADay(3)
	sealed := blockOf(calls...)
	f.insert(acme, sealed)
	f.recordRows([]logsvc.Entry{inProgress(calls[1])})
	f.stores(acme, []logsvc.Entry{inProgress(calls[1])}, sealed)
	f.recordRows(calls[1:2])
	f.stores(acme, calls[1:2], sealed)
}
