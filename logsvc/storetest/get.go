package storetest

import (
	"time"

	"github.com/keytrail/keytrail/logsvc"
)

var getSentences = []sentence{
	{"answers the entry of this workspace and id", answersTheEntry},
	{"found is false where there is none", nothingFound},
}

func answersTheEntry(f *fixture) {
	ours := f.call(0)
	theirs := in(globex, reported(ours, 404, "", time.Minute))
	f.record(f.call(time.Millisecond), ours, theirs, f.call(-time.Millisecond))
	for _, want := range []logsvc.Entry{ours, theirs} {
		got, found, err := f.store.Get(f.Context(), want.WorkspaceID, want.ID)
		if err != nil || !found || got != want {
			f.Errorf("Get(%s, %s) = %+v, %t, %v, want %+v", want.WorkspaceID, want.ID, got, found, err, want)
		}
	}
}

func nothingFound(f *fixture) {
	there := f.call(0)
	f.record(there)
	for _, e := range []logsvc.Entry{f.call(0), in(globex, there), in("ACME", there), in("acm_", there)} {
		got, found, err := f.store.Get(f.Context(), e.WorkspaceID, e.ID)
		if err != nil || found || got != (logsvc.Entry{}) {
			f.Errorf("Get(%s, %s) = %+v, %t, %v, want nothing", e.WorkspaceID, e.ID, got, found, err)
		}
	}
}
