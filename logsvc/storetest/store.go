package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

var storeSentences = []sentence{
	{"its methods are safe for concurrent use: batches that overlap, in different orders", overlappingBatches},
	{"its methods are safe for concurrent use: a walk during Record", walkDuringRecord},
	{"its methods are safe for concurrent use: deleting during Record", deleteDuringRecord},
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

// recordIn records rows in batches of a size. It is safe for concurrent use.
func (f *fixture) recordIn(entries []logsvc.Entry, size int) {
	for ; len(entries) > 0; entries = entries[min(size, len(entries)):] {
		if err := f.store.Record(f.Context(), f.outer(entries[:min(size, len(entries))])); err != nil {
			f.Errorf("Record: %v", err)
		}
	}
}

// everySecond returns the entries with even and with odd numbers.
func everySecond(entries []logsvc.Entry) (even, odd []logsvc.Entry) {
	for i, e := range entries {
		if i%2 == 0 {
			even = append(even, e)
		} else {
			odd = append(odd, e)
		}
	}
	return even, odd
}

func walkDuringRecord(f *fixture) {
	calls := f.calls(200)
	before, during := everySecond(calls)
	f.recordRows(before)
	var group sync.WaitGroup
	group.Go(func() { f.recordIn(during, 5) })
	defer group.Wait()
	f.walkOnce(calls, before)
}

// walkOnce walks acme, and expects each call of before exactly once, and each other one of calls at most once, whatever is done
// meanwhile.
func (f *fixture) walkOnce(calls, before []logsvc.Entry) {
	f.Helper()
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
	f.expectOnce(seen, calls, before)
}

// expectOnce expects that each call of before was seen exactly once, and each other one of calls at most once.
func (f *fixture) expectOnce(seen map[uuid.UUID]int, calls, before []logsvc.Entry) {
	f.Helper()
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
	f.recordRows([]logsvc.Entry{old, in(globex, calls[0])})
	f.insert("initech", blockOf(old))
	var group sync.WaitGroup
	group.Go(func() { f.recordIn(calls, 10) })
	for range 20 {
		f.expire(f.call(2 * day).ID)
		f.purgeRecent(globex, uuid.Max)
	}
	group.Wait()
	f.stores(acme, calls)
	f.stores(globex, nil)
	f.stores("initech", nil)
}

// methods calls each method once, on a store that holds the entry. They change nothing.
func (f *fixture) methods(ctx context.Context, e logsvc.Entry) map[string]error {
	own := f.scoped(e.WorkspaceID)
	errs := map[string]error{
		"Record":  f.store.Record(ctx, f.outer([]logsvc.Entry{e})),
		"Replace": f.store.Replace(ctx, own, logsvc.Change{Rows: []logsvc.Entry{f.call(0)}}),
		"Compact": f.store.Compact(ctx, f.now),
	}
	if errors.Is(errs["Replace"], logsvc.ErrConflict) && ctx.Err() == nil {
		errs["Replace"] = nil
	}
	_, errs["View"] = f.tryView(ctx, logsvc.ViewQuery{WorkspaceID: e.WorkspaceID, Range: f.everything(), Rows: 1, Blocks: 1})
	parts := []logsvc.Part{{Block: blockOf(e).Block, Span: block.Span{Length: 1}}}
	if _, err := f.store.Read(ctx, own, parts); !errors.Is(err, logsvc.ErrBlockGone) || ctx.Err() != nil {
		errs["Read"] = err
	}
	_, errs["Tally"] = f.store.Tally(ctx, own, f.everything(), func(block.Group) {})
	_, errs["Oldest"] = f.store.Oldest(ctx, own, f.everything(), 1)
	_, errs["Backlog"] = f.store.Backlog(ctx, e.ID, 1)
	_, errs["NextWorkspace"] = f.store.NextWorkspace(ctx, "")
	_, _, errs["PurgeRecent"] = f.store.PurgeRecent(ctx, own, f.call(time.Hour).ID)
	_, errs["Expire"] = f.store.Expire(ctx, f.call(29*day).ID, 0)
	listening, stop := context.WithCancel(ctx)
	defer stop()
	errs["Listen"] = f.store.Listen(listening, stop, func(logsvc.Announcement) {})
	if errors.Is(errs["Listen"], context.Canceled) && ctx.Err() == nil {
		errs["Listen"] = nil
	}
	_, errs["TryLock"] = f.store.TryLock(ctx, own, nothing)
	return errs
}

func cancelledReturns(f *fixture) {
	call := f.call(0)
	f.recordRows([]logsvc.Entry{call})
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	for method, err := range f.methods(ctx, call) {
		if !errors.Is(err, context.Canceled) {
			f.Errorf("%s returned %v with a cancelled context", method, err)
		}
	}
	f.stores(acme, []logsvc.Entry{call})
	f.free(acme, true)
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
	f.stores(acme, []logsvc.Entry{call})
}

// isError reports whether an error wraps want, or whether there is none if want is nil.
func isError(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}
