package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

var storeSentences = []sentence{
	{"its methods may be called concurrently: batches that overlap, in different orders", overlappingBatches},
	{"its methods may be called concurrently: a walk during Record", walkDuringRecord},
	{"its methods may be called concurrently: Purge and Expire during Record", deleteDuringRecord},
	{"a cancelled call returns soon", cancelledReturns},
	{"a method that returns an error may be called again", mayBeCalledAgain},
}

// overlappingBatches records each call in progress, denied, reported, from a report alone and with a smaller count, five
// times, like replicas that retry.
func overlappingBatches(f *fixture) {
	want := f.calls(100)
	for i := range want {
		want[i].CallCount += i % 3
	}
	var group sync.WaitGroup
	for writer := range uint64(5) {
		batch := append([]logsvc.Entry{}, want...)
		for _, call := range want {
			batch = append(batch, inProgress(call), denied(call, 403, "expired", "cause"), fromReport(call), counted(call, 1))
		}
		random := rand.New(rand.NewPCG(writer, 1))
		random.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
		group.Go(func() { f.recordIn(batch, 30) })
	}
	group.Wait()
	f.holds(acme, want...)
}

// recordIn records in batches of a size. It is safe for concurrent use.
func (f *fixture) recordIn(entries []logsvc.Entry, size int) {
	for ; len(entries) > 0; entries = entries[min(size, len(entries)):] {
		if err := f.store.Record(f.Context(), entries[:min(size, len(entries))]); err != nil {
			f.Errorf("Record: %v", err)
		}
	}
}

// walkDuringRecord expects each call that was stored before the walk began exactly once, whatever is recorded meanwhile.
func walkDuringRecord(f *fixture) {
	calls := f.calls(200)
	var before, during []logsvc.Entry
	for i, call := range calls {
		if i%2 == 0 {
			before = append(before, call)
		} else {
			during = append(during, call)
		}
	}
	f.record(before...)
	var group sync.WaitGroup
	group.Go(func() { f.recordIn(during, 5) })
	defer group.Wait()
	seen := map[uuid.UUID]int{}
	query := logsvc.Query{WorkspaceID: acme, Range: f.everything(), Limit: 9}
	for !query.Range.Empty() {
		page := f.list(query)
		f.progressed(query, page)
		for _, e := range page.Entries {
			seen[e.ID]++
		}
		query.Range.To = page.SearchedTo
	}
	for _, e := range calls {
		if seen[e.ID] > 1 {
			f.Errorf("%s was in the walk %d times", e.ID, seen[e.ID])
		}
	}
	for _, e := range before {
		if seen[e.ID] == 0 {
			f.Errorf("%s was not in the walk", e.ID)
		}
	}
}

func deleteDuringRecord(f *fixture) {
	calls := f.calls(200)
	old := f.call(5 * day)
	f.record(old, in(globex, calls[0]))
	var group sync.WaitGroup
	group.Go(func() { f.recordIn(calls, 10) })
	for range 20 {
		f.expire(f.call(2 * day).ID)
		f.purge(globex, uuid.Max)
	}
	group.Wait()
	f.holds(acme, calls...)
	f.holds(globex)
}

// methods calls each method once, on a store that holds the entry.
func (f *fixture) methods(ctx context.Context, e logsvc.Entry) map[string]error {
	errs := map[string]error{"Record": f.store.Record(ctx, []logsvc.Entry{e})}
	_, _, errs["Get"] = f.store.Get(ctx, e.WorkspaceID, e.ID)
	_, errs["List"] = f.store.List(ctx, logsvc.Query{WorkspaceID: e.WorkspaceID, Range: f.everything(), Limit: 10})
	_, errs["Purge"] = f.store.Purge(ctx, e.WorkspaceID, f.call(time.Hour).ID)
	errs["Expire"] = f.store.Expire(ctx, f.call(29*day).ID)
	return errs
}

func cancelledReturns(f *fixture) {
	call := f.call(0)
	f.record(call)
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	for method, err := range f.methods(ctx, call) {
		if !errors.Is(err, context.Canceled) {
			f.Errorf("%s returned %v with a cancelled context", method, err)
		}
	}
	f.holds(acme, call)
}

func mayBeCalledAgain(f *fixture) {
	call := f.call(0)
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	f.methods(ctx, call)
	for method, err := range f.methods(f.Context(), call) {
		if err != nil {
			f.Errorf("%s, called again: %v", method, err)
		}
	}
	f.holds(acme, call)
}
