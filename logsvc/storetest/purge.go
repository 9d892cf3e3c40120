package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var purgeSentences = []sentence{
	{"deletes entries of the workspace with ids up to and including upTo", purgesUpTo},
	{"returns how many, and 0 when there are none left", purgeReturnsHowMany},
}

var expireSentences = []sentence{
	{"deletes at least all of the UTC days that have ended by then, in every workspace", endedDaysGo},
	{"nothing from before on", nothingFromBeforeOn},
	{"may be called on an empty store, and again", expireTwice},
}

func purgesUpTo(f *fixture) {
	calls := f.calls(5)
	f.record(append(calls, in(globex, calls[4]))...)
	f.purge(acme, calls[2].ID)
	f.holds(acme, calls[:2]...)
	f.holds(globex, in(globex, calls[4]))
	f.purge(acme, uuid.Max)
	f.holds(acme)
	f.holds(globex, in(globex, calls[4]))
}

func purgeReturnsHowMany(f *fixture) {
	calls := f.calls(25)
	f.record(append(calls, in(globex, calls[0]))...)
	for _, want := range []int64{25, 0} {
		if got := f.purge(acme, calls[0].ID); got != want {
			f.Errorf("Purge deleted %d in all, want %d", got, want)
		}
	}
}

// days are calls around a moment ten days ago, in the middle of a UTC day, in two workspaces.
type days struct {
	before      uuid.UUID
	gone, stays []logsvc.Entry
}

func (f *fixture) days(timeOfDay time.Duration) days {
	midnight := f.now.Truncate(day).Add(-10 * day)
	d := days{before: uuid7.First(midnight.Add(timeOfDay))}
	at := func(t time.Time) []logsvc.Entry {
		e := f.call(f.now.Sub(t))
		return []logsvc.Entry{e, in(globex, e)}
	}
	for ago := range 15 {
		d.gone = append(d.gone, at(midnight.Add(time.Duration(-ago)*day-time.Millisecond))...)
	}
	d.gone = append(d.gone, in("aaron", d.gone[0]), in("initech", d.gone[0])) // the first and the last workspace
	for _, later := range []time.Duration{0, time.Millisecond, time.Hour, day, 10 * day} {
		d.stays = append(d.stays, at(midnight.Add(timeOfDay+later))...)
	}
	exactly := f.call(0)
	exactly.ID = d.before
	d.stays = append(d.stays, exactly, in("able", exactly)) // nothing of able goes
	f.record(append(d.gone, d.stays...)...)
	return d
}

func endedDaysGo(f *fixture) {
	for _, timeOfDay := range []time.Duration{6 * time.Hour, 0} {
		d := f.days(timeOfDay)
		f.expire(d.before)
		f.expectFound(d.gone, false)
	}
}

func nothingFromBeforeOn(f *fixture) {
	for _, timeOfDay := range []time.Duration{6 * time.Hour, 0} {
		d := f.days(timeOfDay)
		f.expire(d.before)
		f.expectFound(d.stays, true)
	}
}

func (f *fixture) expectFound(entries []logsvc.Entry, want bool) {
	f.Helper()
	for _, e := range entries {
		if _, found := f.get(e.WorkspaceID, e.ID); found != want {
			f.Errorf("Get(%s, %s) = found %t, want %t", e.WorkspaceID, e.Time(), found, want)
		}
	}
}

func expireTwice(f *fixture) {
	before := uuid7.First(f.now.Add(-day))
	f.expire(before)
	call := f.call(0)
	f.record(call)
	f.expire(before)
	f.expire(before)
	f.holds(acme, call)
}
