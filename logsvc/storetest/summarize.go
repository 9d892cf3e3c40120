package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var summarizeSentences = []sentence{
	{"counts every call of the range once, by hour, class and code, and by key", summarizesAll},
	{"the range may begin and end anywhere", summarizesRanges},
	{"a call counts as it is known now", summarizesChanges},
	{"a call whose key was not known before counts for the key of the check", summarizesOtherKey},
	{"a workspace without calls counts none", summarizesNothing},
}

// summarizes fails unless a summary of the workspace counts exactly these entries, before and after the seals of the mode.
func (f *fixture) summarizes(workspaceID string, ids logsvc.Range, want []logsvc.Entry) {
	f.Helper()
	for range 3 {
		f.summarizesOnce(workspaceID, ids, want)
		f.pageListed()
	}
}

func (f *fixture) summarizesOnce(workspaceID string, ids logsvc.Range, want []logsvc.Entry) {
	f.Helper()
	summary, err := f.searcher.Summarize(f.Context(), f.scoped(workspaceID), ids)
	if err != nil || len(summary.Unreadable) > 0 {
		f.Fatalf("Summarize(%+v) could not read %v, %v", ids, summary.Unreadable, err)
	}
	f.counts(summary.Statistics, want)
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
	for _, r := range ranges {
		f.summarizesOnce(acme, r, m.list(acme, logsvc.Filter{}, r))
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

// summarizesOtherKey does not compare when a key was used first and last: that stays as it was once known.
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
