package storetest

import (
	"bytes"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

var summarizeSentences = []sentence{
	{"counts every call of the range once, by hour, class and code, and by key", summarizesAll},
	{"the range may begin and end anywhere", summarizesRanges},
	{"a call counts as it is known now", summarizesChanges},
	{"a call whose key was not known before counts for the key of the check", summarizesOtherKey},
	{"a workspace without calls counts none", summarizesNothing},
	{"with filters other than key, class and code it stops when its time is up, and makes progress", summarizesInTime},
}

// summarizes fails unless summaries of the workspace count exactly these entries, before and after the seals of the mode.
func (f *fixture) summarizes(workspaceID string, ids logsvc.Range, want []logsvc.Entry) {
	f.Helper()
	for range 3 {
		f.summarizesOnce(workspaceID, ids, want)
		f.pageListed()
	}
}

// summarizesOnce compares summaries with all kinds of filters, and the keys.
func (f *fixture) summarizesOnce(workspaceID string, ids logsvc.Range, want []logsvc.Entry) {
	f.Helper()
	for _, filter := range summaryFilters(want) {
		f.counts(f.summary(workspaceID, filter, ids), matches(filter, want))
	}
	keys, unreadable, err := f.searcher.Keys(f.Context(), f.scoped(workspaceID), ids)
	if err != nil || len(unreadable) > 0 {
		f.Fatalf("Keys(%+v) could not read %v, %v", ids, unreadable, err)
	}
	f.keys(keys, want)
}

// summaryFilters returns filters that blocks have counts of, and others.
func summaryFilters(entries []logsvc.Entry) []logsvc.Filter {
	filters := []logsvc.Filter{
		{}, {StatusClass: 2}, {StatusClass: 4}, {InProgress: true}, {ErrorCode: "expired"}, {KeyID: uuid.New()}, {Method: "GET"},
	}
	if len(entries) > 0 {
		key := entries[len(entries)/2].KeyID
		filters = append(filters, logsvc.Filter{KeyID: key}, logsvc.Filter{KeyID: key, StatusClass: 4, ErrorCode: "expired"},
			logsvc.Filter{KeyID: key, Method: "POST"})
	}
	return filters
}

// summary returns the counts of a summary that ends where the range begins.
func (f *fixture) summary(workspaceID string, filter logsvc.Filter, ids logsvc.Range) block.Counts {
	f.Helper()
	query := logsvc.SummaryQuery{WorkspaceID: f.scoped(workspaceID), Filter: filter, Range: ids, Budget: time.Minute}
	summary, err := f.searcher.Summarize(f.Context(), query)
	if err != nil || len(summary.Unreadable) > 0 || summary.SearchedTo != ids.From {
		f.Fatalf("Summarize(%+v) searched to %s, could not read %v, %v", query, summary.SearchedTo, summary.Unreadable, err)
	}
	return summary.Counts
}

func summarizesAll(f *fixture) {
	calls := f.mixedCalls(40)
	f.record(append(calls, in(globex, calls[0]))...)
	f.summarizes(acme, f.everything(), calls)
	f.summarizes(globex, logsvc.Range{To: uuid.Max}, []logsvc.Entry{in(globex, calls[0])})
}

func summarizesRanges(f *fixture) {
	calls := f.mixedCalls(24)
	f.record(calls...)
	ranges := []logsvc.Range{
		{From: calls[20].ID, To: calls[2].ID}, {From: calls[12].ID, To: calls[11].ID}, {From: calls[3].ID, To: calls[3].ID},
	}
	for i := range calls {
		hour := calls[i].Time().Truncate(time.Hour)
		ranges = append(ranges, logsvc.Range{From: calls[i].ID, To: uuid.Max}, logsvc.Range{To: calls[i].ID},
			logsvc.Range{From: uuid7.First(hour), To: uuid7.First(hour.Add(time.Hour))})
	}
	m := model{}
	m.record(calls...)
	filters := summaryFilters(calls)
	for i, r := range ranges {
		for _, filter := range []logsvc.Filter{{}, filters[i%len(filters)]} {
			f.counts(f.summary(acme, filter, r), m.list(acme, filter, r))
		}
	}
}

func summarizesChanges(f *fixture) {
	calls, m := f.mixedCalls(20), model{}
	for round := range 4 {
		var batch []logsvc.Entry
		for i, call := range calls {
			switch (i + round) % 4 {
			case 0:
				batch = append(batch, inProgress(call))
			case 1:
				batch = append(batch, call)
			case 2:
				batch = append(batch, counted(fromReport(call), call.CallCount+round))
			}
		}
		m.record(batch...)
		f.record(batch...)
		f.summarizes(acme, f.everything(), m.list(acme, logsvc.Filter{}, f.everything()))
	}
}

func summarizesOtherKey(f *fixture) {
	calls := f.calls(6)
	for i := range calls {
		calls[i] = fromReport(calls[i])
	}
	f.record(calls...)
	calls[2] = redescribed(calls[2])
	calls[2].FromReport = false
	f.record(calls[2])
	f.summarizes(acme, f.everything(), calls)
}

func summarizesNothing(f *fixture) {
	f.record(f.calls(3)...)
	f.summarizes(globex, f.everything(), nil)
	f.summarizes(acme, logsvc.Range{From: f.everything().From, To: uuid7.First(f.now.Add(-day))}, nil)
}

func summarizesInTime(f *fixture) {
	calls := f.mixedCalls(60)
	f.record(calls...)
	query := logsvc.SummaryQuery{
		WorkspaceID: f.scoped(acme), Filter: logsvc.Filter{Method: "GET"}, Range: f.everything(), Budget: time.Nanosecond,
	}
	m, all := model{}, block.Counts{}
	m.record(calls...)
	for !query.Range.Empty() {
		summary, err := f.searcher.Summarize(f.Context(), query)
		if err != nil || bytes.Compare(summary.SearchedTo[:], query.Range.To[:]) >= 0 {
			f.Fatalf("a summary of %+v searched to %s, %v", query.Range, summary.SearchedTo, err)
		}
		searched := logsvc.Range{From: summary.SearchedTo, To: query.Range.To}
		f.counts(summary.Counts, m.list(acme, query.Filter, searched))
		all.Merge(summary.Counts)
		query.Range.To = summary.SearchedTo
		f.pageListed()
	}
	f.counts(all, matches(query.Filter, calls))
}
