package storetest

import (
	"context"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var expireDaysSentences = []sentence{
	{"it returns the number of these days, and deletes nothing if they are more than maxDays", tooManyDaysStay},
	{"on an error it returns their number too, or 0", countedOnAnError},
	{"nothing to delete is 0 days", noDays},
}

// expireAtMost fails unless Expire returns the number of days.
func (f *fixture) expireAtMost(before uuid.UUID, maxDays, want int) {
	f.Helper()
	if days, err := f.store.Expire(f.Context(), before, maxDays); err != nil || days != want {
		f.Errorf("Expire of at most %d days returned %d, %v; want %d", maxDays, days, err, want)
	}
}

// tooManyDaysStay has three days that have ended, in rows and in blocks of two workspaces, and a part of a fourth.
func tooManyDaysStay(f *fixture) {
	today := f.now.Truncate(day)
	before := uuid7.First(today.Add(-7*day + day/2))
	f.expire(before) // days that an earlier sentence has left
	rows := append(f.callsBefore(today.Add(-7*day+day/4), 2), f.callsBefore(today.Add(-9*day+day/4), 2)...)
	f.recordRows(rows)
	block := blockOf(f.callsBefore(today.Add(-8*day+day/2), 3)...)
	f.insert(globex, block, blockOf(f.callsBefore(today.Add(-9*day+day/2), 3)...))
	other := f.callsBefore(today.Add(-10*day+day/2), 1)
	f.recordRows([]logsvc.Entry{in(globex, other[0])})
	for _, maxDays := range []int{0, 2} {
		f.expireAtMost(before, maxDays, 3)
	}
	f.stores(acme, rows)
	f.read(globex, wholeOf(block))
	f.expireAtMost(before, 3, 3)
	f.stores(globex, nil)
	f.gone(globex, block)
	f.expireAtMost(before, 0, 0)
}

func countedOnAnError(f *fixture) {
	before := uuid7.First(f.now.Add(-5 * day))
	f.expire(before) // days that an earlier sentence has left
	f.recordRows([]logsvc.Entry{f.call(7 * day)})
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	if days, err := f.store.Expire(ctx, before, 1); err == nil || days != 0 && days != 1 {
		f.Errorf("Expire with a cancelled context returned %d days, %v", days, err)
	}
	f.expireAtMost(before, 1, 1)
}

// wholeOf returns the data of a block.
func wholeOf(b logsvc.SealedBlock) logsvc.Part {
	part := logsvc.Part{Block: b.Block}
	part.Length = len(b.Data)
	return part
}

func noDays(f *fixture) {
	before := uuid7.First(f.now.Add(-5 * day))
	f.expire(before)
	call := f.call(0)
	f.recordRows([]logsvc.Entry{call})
	f.expireAtMost(before, 0, 0)
	f.stores(acme, []logsvc.Entry{call})
}
