package storetest

import (
	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

var nextWorkspaceSentences = []sentence{
	{"returns the workspaces that have rows or blocks, in byte order", nextWorkspaces},
}

var purgeRecentSentences = []sentence{
	{"deletes recent rows of the workspace with ids up to and including upTo", purgesRows},
	{"returns how many; more is false if none is left of those that were there when it began", purgeRecentEnds},
	{"blocks stay", purgeRecentKeepsBlocks},
}

func nextWorkspaces(f *fixture) {
	calls := f.callsOfADay(2)
	f.recordRows([]logsvc.Entry{in("b", calls[0]), in("Z", calls[0]), in("a-", calls[0]), in("a-", calls[1]), in("é", calls[0])})
	f.insert("a", blockOf(calls...))
	f.insert("b", blockOf(calls...))
	f.insert("aa", blockOf(calls...))
	f.insert("_", blockOf(calls...))
	for after, want := range map[string]string{
		"": "Z", "A": "Z", "Z": "_", "_": "a", "a": "a-", "a-": "aa", "a0": "aa", "aa": "b", "b": "é",
	} {
		if got, err := f.store.NextWorkspace(f.Context(), f.scoped(after)); err != nil || got != f.scoped(want) {
			f.Errorf("NextWorkspace(%q) = %q, %v, want %q", after, got, err, want)
		}
	}
	if got, err := f.store.NextWorkspace(f.Context(), f.scoped("é")); err != nil || got != "" {
		f.Errorf("after the last workspace comes %q, %v", got, err)
	}
	if got, err := f.store.NextWorkspace(f.Context(), ""); err != nil || got != f.scoped("Z") {
		f.Errorf("the first workspace is %q, %v", got, err)
	}
}

func (f *fixture) purgeRecent(workspaceID string, upTo uuid.UUID) (total int64) {
	f.Helper()
	for {
		n, more, err := f.store.PurgeRecent(f.Context(), f.scoped(workspaceID), upTo)
		if err != nil {
			f.Fatalf("PurgeRecent: %v", err)
		}
		total += n
		if !more {
			return total
		}
	}
}

func purgesRows(f *fixture) {
	calls := append(f.calls(10), f.call(3*day), f.call(10*day))
	f.recordRows(calls)
	f.recordRows([]logsvc.Entry{in(globex, calls[9])})
	for _, c := range []struct{ upTo, want int }{{11, 1}, {4, 7}, {4, 0}, {0, 4}, {0, 0}} {
		if got := f.purgeRecent(acme, calls[c.upTo].ID); got != int64(c.want) {
			f.Errorf("PurgeRecent up to row %d deleted %d rows, want %d", c.upTo, got, c.want)
		}
		f.stores(acme, calls[:c.upTo])
	}
	f.stores(globex, []logsvc.Entry{in(globex, calls[9])})
}

func purgeRecentEnds(f *fixture) {
	f.recordRows(f.calls(3))
	for _, want := range []int64{3, 0} {
		if n := f.purgeRecent(acme, uuid.Max); n != want {
			f.Errorf("PurgeRecent deleted %d rows until it had no more, want %d", n, want)
		}
	}
}

func purgeRecentKeepsBlocks(f *fixture) {
	calls := f.callsOfADay(4)
	f.recordRows(calls)
	sealed := blockOf(calls[1:3]...)
	f.insert(acme, sealed)
	if got := f.purgeRecent(acme, uuid.Max); got != 4 {
		f.Errorf("PurgeRecent deleted %d rows, want 4", got)
	}
	f.stores(acme, nil, sealed)
}
