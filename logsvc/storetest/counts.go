package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/block"
)

var tallySentences = []sentence{
	{"counts the recent rows that are in the range, by hour, class and code, and by key", talliesRows},
	{"counts only rows above every block, and returns the highest id of them", talliesAboveBlocks},
}

var backlogSentences = []sentence{
	{"Oldest returns recent rows in the range, by ascending id, up to a limit", oldestRows},
	{"Backlog returns the workspaces and UTC days that have enough recent rows below an id", backlogOfDays},
}

// counts fails unless the counts are those of the entries.
func (f *fixture) counts(got block.Counts, entries []logsvc.Entry) {
	f.Helper()
	want := block.Counts{}
	for _, e := range entries {
		want.Add(block.GroupOf(&e))
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("the counts of %d entries (-want +got):\n%s", len(entries), diff)
	}
}

// keys fails unless the uses of keys are those of the entries.
func (f *fixture) keys(got block.Keys, entries []logsvc.Entry) {
	f.Helper()
	want := block.Keys{}
	for _, e := range entries {
		want.Add(block.GroupOf(&e))
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("the keys of %d entries (-want +got):\n%s", len(entries), diff)
	}
}

func (f *fixture) tallies(workspaceID string, ids logsvc.Range, above uuid.UUID, want []logsvc.Entry) {
	f.Helper()
	counts, keys := block.Counts{}, block.Keys{}
	got, err := f.store.Tally(f.Context(), f.scoped(workspaceID), ids, func(g block.Group) {
		counts.Add(g)
		keys.Add(g)
	})
	if err != nil || got != above {
		f.Fatalf("Tally(%+v) counts above %s, %v, want %s", ids, got, err, above)
	}
	f.counts(counts, want)
	f.keys(keys, want)
}

// mixedCalls are calls of every status, code, count, latency and method, of three keys, which are renamed meanwhile, and none,
// newest first, over some hours.
func (f *fixture) mixedCalls(count int) []logsvc.Entry {
	calls := make([]logsvc.Entry, count)
	keys := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.Nil}
	for i := range calls {
		call := f.call(time.Duration(i) * 7 * time.Minute)
		call.KeyID, call.Method = keys[i%len(keys)], []string{"POST", "GET"}[i%3/2]
		call.KeyName, call.KeyLast4 = fmt.Sprint("name ", i/7), fmt.Sprint(i/5)
		switch i % 6 {
		case 0:
			call = inProgress(call)
		case 1:
			call = denied(call, 401, "expired", "a_cause")
		case 2:
			call = counted(denied(call, 403, "agent_denied", ""), 1+i*i)
		case 3:
			call = reported(call, 0, "", time.Second)
		default:
			call = reported(call, 200+100*(i%4), "", time.Duration(i%5)*time.Duration(i%7)*333*time.Microsecond)
		}
		calls[i] = call
	}
	return calls
}

func talliesRows(f *fixture) {
	calls := f.mixedCalls(60)
	f.recordRows(calls)
	f.recordRows([]logsvc.Entry{in(globex, calls[0])})
	f.tallies(acme, f.everything(), uuid.Nil, calls)
	f.tallies(acme, logsvc.Range{From: calls[40].ID, To: calls[10].ID}, uuid.Nil, calls[11:41])
	f.tallies(acme, logsvc.Range{To: uuid.Max}, uuid.Nil, calls)
	f.tallies(acme, logsvc.Range{From: calls[10].ID, To: calls[10].ID}, uuid.Nil, nil)
	f.tallies("no-rows", f.everything(), uuid.Nil, nil)
}

func talliesAboveBlocks(f *fixture) {
	calls := f.callsOfADay(12)
	f.recordRows(calls)
	f.insert(acme, blockOf(calls[8:10]...))
	f.tallies(acme, f.everything(), calls[8].ID, calls[:8])
	f.insert(acme, blockOf(calls[3:6]...))
	f.insert(globex, blockOf(calls...))
	f.tallies(acme, f.everything(), calls[3].ID, calls[:3])
	f.tallies(acme, logsvc.Range{From: calls[1].ID, To: calls[0].ID}, calls[3].ID, calls[1:2])
	f.tallies(acme, logsvc.Range{From: calls[7].ID, To: calls[5].ID}, calls[3].ID, nil)
}

func oldestRows(f *fixture) {
	calls := f.mixedCalls(20)
	f.recordRows(calls)
	f.recordRows([]logsvc.Entry{in(globex, calls[0])})
	f.insert(acme, blockOf(calls[19]))
	ascending := slices.Clone(calls)
	slices.Reverse(ascending)
	for _, r := range []logsvc.Range{
		f.everything(), {To: uuid.Max}, {From: calls[15].ID, To: calls[3].ID}, {From: calls[3].ID, To: calls[3].ID},
	} {
		want := slices.DeleteFunc(slices.Clone(ascending), func(e logsvc.Entry) bool { return !r.Contains(e.ID) })
		for _, limit := range []int{1, 5, len(want), len(want) + 1, 1000} {
			got, err := f.store.Oldest(f.Context(), f.scoped(acme), r, limit)
			if err != nil {
				f.Fatalf("Oldest(%+v, %d): %v", r, limit, err)
			}
			f.same(f.inner(got), want[:min(limit, len(want))])
		}
	}
}

func backlogOfDays(f *fixture) {
	today := f.now.Truncate(day)
	at := func(workspaceID string, t time.Time, count int) []logsvc.Entry {
		calls := f.callsBefore(t.Add(time.Hour), count)
		for i := range calls {
			calls[i].WorkspaceID = workspaceID
		}
		return calls
	}
	threeAgo, twoAgo := today.Add(-3*day), today.Add(-2*day)
	f.recordRows(slices.Concat(at(acme, threeAgo, 4), at(globex, threeAgo, 2), at(acme, twoAgo, 3), at(acme, today.Add(-day), 9)))
	f.insert(acme, blockOf(at(acme, today.Add(-4*day), 3)...), blockOf(at(acme, threeAgo, 5)...)) // whose rows do not count
	first := logsvc.Backlog{WorkspaceID: acme, Day: threeAgo, Rows: 4}
	second := logsvc.Backlog{WorkspaceID: globex, Day: threeAgo, Rows: 2}
	third := logsvc.Backlog{WorkspaceID: acme, Day: twoAgo, Rows: 3}
	last := logsvc.Backlog{WorkspaceID: acme, Day: today.Add(-day), Rows: 9}
	before := uuid7.First(today.Add(-day))
	f.backlog(before, 1, first, third, second)
	f.backlog(before, 2, first, third, second)
	f.backlog(before, 3, first, third)
	f.backlog(before, 4, first)
	f.backlog(before, 5)
	f.backlog(uuid7.First(today), 5, last)
	// In the middle of a day's rows.
	partly := uuid7.First(twoAgo.Add(time.Hour - 500*time.Millisecond))
	f.backlog(partly, 2, first, logsvc.Backlog{WorkspaceID: acme, Day: twoAgo, Rows: 2}, second)
	f.backlog(partly, 3, first)
}

// backlog fails unless Backlog returns exactly these days, by workspace and day.
func (f *fixture) backlog(before uuid.UUID, minRows int, want ...logsvc.Backlog) {
	f.Helper()
	got, err := f.store.Backlog(f.Context(), before, minRows)
	if err != nil {
		f.Fatalf("Backlog: %v", err)
	}
	for i := range got {
		got[i].WorkspaceID = strings.TrimPrefix(got[i].WorkspaceID, f.scoped(""))
		got[i].Day = got[i].Day.UTC()
	}
	slices.SortFunc(got, func(a, b logsvc.Backlog) int {
		return bytes.Compare([]byte(a.WorkspaceID+a.Day.String()), []byte(b.WorkspaceID+b.Day.String()))
	})
	slices.SortFunc(want, func(a, b logsvc.Backlog) int {
		return bytes.Compare([]byte(a.WorkspaceID+a.Day.String()), []byte(b.WorkspaceID+b.Day.String()))
	})
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("Backlog(%s, %d) (-want +got):\n%s", before, minRows, diff)
	}
}
