package storetest

import (
	"sync"
	"time"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var compactSentences = []sentence{
	{"no row and no block is lost", compactKeepsAll},
	{"a day whose space was given back takes rows and blocks again", compactedDayTakesRows},
	{"no row is lost that is recorded meanwhile", compactDuringRecord},
}

func (f *fixture) compact(before time.Time) {
	f.Helper()
	if err := f.store.Compact(f.Context(), before); err != nil {
		f.Errorf("Compact: %v", err)
	}
}

func compactKeepsAll(f *fixture) {
	calls, old := f.callsOfADay(6), f.callsBefore(f.now.Truncate(day).Add(-36*time.Hour), 3)
	f.recordRows(append(calls, old...))
	sealed, older := blockOf(calls[2:4]...), blockOf(old...)
	f.replace(acme, logsvc.Change{Rows: calls[2:4], Insert: []logsvc.SealedBlock{sealed}}, nil)
	f.replace(acme, logsvc.Change{Rows: old, Insert: []logsvc.SealedBlock{older}}, nil)
	for range 2 {
		f.compact(f.now)
		f.compact(f.now.Add(-5 * day))
		f.compact(f.now.Add(3 * day))
		f.stores(acme, append(calls[:2:2], calls[4:]...), sealed, older)
	}
}

func compactedDayTakesRows(f *fixture) {
	calls := f.callsOfADay(3)
	for range 3 {
		f.recordRows(calls)
		sealed := blockOf(calls...)
		f.replace(acme, logsvc.Change{Rows: calls, Insert: []logsvc.SealedBlock{sealed}}, nil)
		f.compact(f.now)
		f.recordRows(calls[:1])
		f.stores(acme, calls[:1], sealed)
		f.replace(acme, logsvc.Change{Rows: calls[:1], Delete: []logsvc.Block{sealed.Block}}, nil)
		f.compact(f.now)
		f.stores(acme, nil)
	}
}

func compactDuringRecord(f *fixture) {
	calls := f.callsOfADay(200)
	var group sync.WaitGroup
	group.Go(func() {
		for _, call := range calls {
			f.recordIn([]logsvc.Entry{call}, 1)
			f.moves(logsvc.Change{Rows: []logsvc.Entry{call}, Insert: []logsvc.SealedBlock{blockOf(call)}})
		}
	})
	for range 20 {
		f.compact(f.now)
	}
	group.Wait()
	_, blocks := f.viewed(logsvc.ViewQuery{WorkspaceID: acme, Range: f.everything(), Rows: 1, Blocks: 1000})
	if len(blocks) != len(calls) {
		f.Errorf("of %d rows that were sealed %d are in blocks", len(calls), len(blocks))
	}
}

var expireBlocksSentences = []sentence{
	{"blocks of days that have ended go, with their data, in every workspace", blocksExpire},
	{"a block that reaches from before on stays", blockAtExpiryStays},
}

// dayOfBlocks stores three blocks of a day, and returns them newest first.
func (f *fixture) dayOfBlocks(workspaceID string, start time.Time) []logsvc.SealedBlock {
	var blocks []logsvc.SealedBlock
	for _, hour := range []time.Duration{20, 12, 4} {
		blocks = append(blocks, blockOf(f.callsBefore(start.Add(hour*time.Hour), 3)...))
	}
	f.insert(workspaceID, blocks...)
	return blocks
}

func blocksExpire(f *fixture) {
	today := f.now.Truncate(day)
	var stay, go1 []logsvc.SealedBlock
	for ago := time.Duration(5); ago <= 8; ago++ {
		blocks := f.dayOfBlocks(acme, today.Add(-ago*day))
		f.gone(globex, blocks[0])
		if ago < 7 {
			stay = append(stay, blocks...)
		} else {
			go1 = append(go1, blocks...)
		}
	}
	others := f.dayOfBlocks(globex, today.Add(-20*day))
	f.expire(uuid7.First(today.Add(-6 * day)))
	f.stores(acme, nil, stay...)
	f.stores(globex, nil)
	f.gone(acme, go1...)
	f.gone(globex, others...)
}

func blockAtExpiryStays(f *fixture) {
	start := f.now.Truncate(day).Add(-6 * day)
	calls := f.callsBefore(start.Add(12*time.Hour), 5)
	sealed := blockOf(calls...)
	f.insert(acme, sealed)
	f.insert(globex, blockOf(f.callsBefore(start.Add(-time.Hour), 3)...))
	f.expire(calls[2].ID)
	f.stores(acme, nil, sealed)
	f.expire(calls[0].ID)
	f.stores(acme, nil, sealed)
	f.stores(globex, nil)
}
