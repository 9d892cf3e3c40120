package storetest

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

var replaceSentences = []sentence{
	{"deletes rows and blocks, and stores blocks", replaces},
	{"ErrConflict: a row is not there any more, and nothing is done", conflictOfRow},
	{"ErrConflict: a block is not there any more, and nothing is done", conflictOfBlock},
	{"ErrConflict: a block that is to be stored overlaps another one, and nothing is done", conflictOfOverlap},
	{"a block may touch others, and replace those that it overlaps", touchesAndReplaces},
	{"a row that is not as it was read stays as it is, and the rest is carried out", changedRowStays},
	{"a conflict comes before a row that is not as it was read", conflictAndChangedRow},
	{"in one transaction, or none of it", replaceAllOrNone},
	{"of two changes that delete the same row or block one is carried out", replacesTwice},
	{"rows of other workspaces and ids stay", replacesNothingElse},
	{"a change may be empty, and may be large", replacesAnySize},
}

func replaces(f *fixture) {
	calls := f.mixedCalls(12)
	calls = onOneDay(f, calls)
	f.recordRows(calls)
	older, newer := blockOf(calls[6:9]...), blockOf(calls[3:6]...)
	f.replace(acme, logsvc.Change{Rows: calls[3:9], Insert: []logsvc.SealedBlock{older, newer}}, nil)
	rest := append(append([]logsvc.Entry{}, calls[:3]...), calls[9:]...)
	f.stores(acme, rest, newer, older)
	whole := blockOf(calls[3:10]...)
	f.replace(acme, logsvc.Change{
		Rows: calls[9:10], Delete: []logsvc.Block{older.Block, newer.Block}, Insert: []logsvc.SealedBlock{whole},
	}, nil)
	f.stores(acme, append(rest[:3:3], rest[4:]...), whole)
	f.replace(acme, logsvc.Change{Delete: []logsvc.Block{whole.Block}}, nil)
	f.stores(acme, append(rest[:3:3], rest[4:]...))
	f.replace(acme, logsvc.Change{Rows: calls[:3]}, nil)
	f.stores(acme, calls[10:])
}

// onOneDay returns the calls with ids of one UTC day, in the same order.
func onOneDay(f *fixture, calls []logsvc.Entry) []logsvc.Entry {
	for i, of := range f.callsOfADay(len(calls)) {
		calls[i].ID = of.ID
	}
	return calls
}

func conflictOfRow(f *fixture) {
	calls := f.callsOfADay(6)
	f.recordRows(append([]logsvc.Entry{in(globex, calls[2])}, append(calls[:2:2], calls[3:]...)...))
	there := blockOf(calls[4:6]...)
	f.insert(acme, there)
	for _, rows := range [][]logsvc.Entry{calls[2:3], calls[0:3], calls[2:5]} {
		change := logsvc.Change{
			Rows: rows, Delete: []logsvc.Block{there.Block}, Insert: []logsvc.SealedBlock{blockOf(calls[0:4]...)},
		}
		f.replace(acme, change, logsvc.ErrConflict)
		f.stores(acme, append(calls[:2:2], calls[3:]...), there)
	}
}

func conflictOfBlock(f *fixture) {
	calls := f.callsOfADay(6)
	f.recordRows(calls[:3])
	there, gone := blockOf(calls[3:5]...), blockOf(calls[5])
	f.insert(acme, there)
	f.insert(globex, gone)
	for _, blocks := range [][]logsvc.Block{{gone.Block}, {there.Block, gone.Block}, {gone.Block, there.Block}} {
		change := logsvc.Change{Rows: calls[:2], Delete: blocks, Insert: []logsvc.SealedBlock{blockOf(calls[:2]...)}}
		f.replace(acme, change, logsvc.ErrConflict)
		f.stores(acme, calls[:3], there)
	}
}

// conflictOfOverlap stores two blocks, calls 4 to 6 and 8 to 11 of 16, newest first, and tries to store others.
func conflictOfOverlap(f *fixture) {
	calls := f.callsOfADay(16)
	newer, older := blockOf(calls[4:7]...), blockOf(calls[8:12]...)
	f.recordRows(calls[:4])
	f.insert(acme, newer, older)
	f.insert(globex, blockOf(calls...))
	for name, change := range map[string]logsvc.Change{
		"ends where one begins":          {Insert: blocksOf(calls[11:14])},
		"ends inside one":                {Insert: blocksOf(calls[9:14])},
		"begins where one ends":          {Insert: blocksOf(calls[2:5])},
		"begins inside one":              {Insert: blocksOf(calls[2:6])},
		"is inside one":                  {Insert: blocksOf(calls[9:11])},
		"is around one":                  {Insert: blocksOf(calls[7:13])},
		"is around both":                 {Insert: blocksOf(calls)},
		"begins with one, and ends late": {Insert: blocksOf(calls[7:12])},
		"begins with one, and ends soon": {Insert: blocksOf(calls[10:12])},
		"ends with one, and begins late": {Insert: blocksOf(calls[8:10])},
		"ends with one, and begins soon": {Insert: blocksOf(calls[8:13])},
		"has the ids of one":             {Insert: blocksOf(calls[8:12])},
		"overlaps one of the change":     {Insert: blocksOf(calls[0:3], calls[2:4])},
		"is the second of the change":    {Insert: blocksOf(calls[0:2], calls[11:13])},
		"overlaps one beside a deleted":  {Insert: blocksOf(calls[6:12]), Delete: []logsvc.Block{older.Block}},
	} {
		change.Rows = f.outer(calls[:2])
		if err := f.store.Replace(f.Context(), f.scoped(acme), change); !isError(err, logsvc.ErrConflict) {
			f.Errorf("a block that %s: Replace returned %v, want %v", name, err, logsvc.ErrConflict)
		}
		f.stores(acme, calls[:4], newer, older)
	}
}

// blocksOf returns a block of each of the slices.
func blocksOf(calls ...[]logsvc.Entry) (blocks []logsvc.SealedBlock) {
	for _, c := range calls {
		blocks = append(blocks, blockOf(c...))
	}
	return blocks
}

// touchesAndReplaces stores blocks between whose ids there is no other.
func touchesAndReplaces(f *fixture) {
	calls := f.callsOfADay(12)
	calls[3].ID, calls[7].ID = uuid7.Next(calls[4].ID), uuid7.Next(calls[8].ID)
	three, two := blocksOf(calls[:4], calls[4:8], calls[8:]), blocksOf(calls[:6], calls[6:])
	f.insert(acme, three[1])
	f.insert(acme, three[0], three[2])
	f.stores(acme, nil, three...)
	replaced := []logsvc.Block{three[0].Block, three[1].Block, three[2].Block}
	f.replace(acme, logsvc.Change{Delete: replaced, Insert: two}, nil)
	f.stores(acme, nil, two...)
}

// changes are all ways in which a row can change after it was read.
var changes = []struct {
	name        string
	read, later func(logsvc.Entry) logsvc.Entry
}{
	{"it was denied", inProgress, func(e logsvc.Entry) logsvc.Entry { return denied(e, 401, "", "") }},
	{"it was denied with a code", inProgress, func(e logsvc.Entry) logsvc.Entry { return denied(e, 401, "expired", "") }},
	{"it was denied with a cause", inProgress, func(e logsvc.Entry) logsvc.Entry { return denied(e, 401, "", "a_cause") }},
	{"it was reported", inProgress, func(e logsvc.Entry) logsvc.Entry { return reported(e, 200, "", time.Second) }},
	{"it was reported, with the status of its denial and no latency",
		func(e logsvc.Entry) logsvc.Entry { return denied(e, 401, "", "") },
		func(e logsvc.Entry) logsvc.Entry { return reported(e, 401, "", 0) }},
	{"its count grew", one, func(e logsvc.Entry) logsvc.Entry { return counted(e, 2) }},
	{"its count grew to the most", one, func(e logsvc.Entry) logsvc.Entry { return counted(e, math.MaxInt32) }},
	{"a check described it", fromReport, one},
	{"a check described it in the same way", func(e logsvc.Entry) logsvc.Entry { e.FromReport = true; return e }, one},
	{"a check proved no key",
		func(e logsvc.Entry) logsvc.Entry { e.FromReport = true; return e },
		func(e logsvc.Entry) logsvc.Entry { e.KeyID, e.KeyName = uuid.Nil, ""; return e }},
}

func one(e logsvc.Entry) logsvc.Entry { return e }

func changedRowStays(f *fixture) {
	calls := f.callsOfADay(2 * len(changes))
	var read, later []logsvc.Entry
	for i, change := range changes {
		read = append(read, change.read(calls[2*i]), calls[2*i+1])
		later = append(later, change.later(calls[2*i]))
	}
	f.recordRows(read)
	f.recordRows(later)
	sealed := blockOf(read...)
	f.replace(acme, logsvc.Change{Rows: read, Insert: []logsvc.SealedBlock{sealed}}, nil)
	m := model{}
	for i, change := range changes {
		m.record(read[2*i], later[i])
		if m[row{acme, later[i].ID}] == read[2*i] {
			f.Errorf("%s: this change shows nothing", change.name)
		}
	}
	f.stores(acme, m.list(acme, logsvc.Filter{}, f.everything()), sealed)
	f.replace(acme, logsvc.Change{Rows: m.list(acme, logsvc.Filter{}, f.everything())}, nil)
	f.stores(acme, nil, sealed)
}

func conflictAndChangedRow(f *fixture) {
	calls := f.callsOfADay(3)
	read := inProgress(calls[0])
	f.recordRows([]logsvc.Entry{read, calls[1]})
	f.recordRows(calls[:1])
	change := logsvc.Change{Rows: []logsvc.Entry{read, calls[1], calls[2]}, Insert: []logsvc.SealedBlock{blockOf(calls...)}}
	f.replace(acme, change, logsvc.ErrConflict)
	f.stores(acme, calls[:2])
}

// replaceAllOrNone cancels changes after several fractions of the time that one takes.
func replaceAllOrNone(f *fixture) {
	var duration time.Duration
	for i := range 6 {
		workspaceID := string(rune('a' + i))
		calls := f.callsOfADay(201)
		for j := range calls {
			calls[j].WorkspaceID = workspaceID
		}
		old, sealed := blockOf(calls[200]), blockOf(calls...)
		f.recordRows(calls[:200])
		f.insert(workspaceID, old)
		ctx, cancel := f.Context(), context.CancelFunc(func() {})
		if i > 0 {
			ctx, cancel = context.WithTimeout(ctx, duration*time.Duration(i-1)/5)
		}
		started := time.Now()
		err := f.store.Replace(ctx, f.scoped(workspaceID), logsvc.Change{
			Rows: f.outer(calls[:200]), Delete: []logsvc.Block{old.Block}, Insert: []logsvc.SealedBlock{sealed},
		})
		cancel()
		if i == 0 {
			duration = time.Since(started)
		}
		f.allOrNothing(workspaceID, len(calls)-1, old.ID, sealed.ID, err == nil)
	}
}

// allOrNothing fails unless the workspace has the rows and the old block, or no row and the new block. It looks several times: a
// change whose caller has gone may be carried out between two looks.
func (f *fixture) allOrNothing(workspaceID string, rows int, before, after uuid.UUID, must bool) {
	f.Helper()
	for look := 0; ; look++ {
		left, blocks := f.viewed(logsvc.ViewQuery{WorkspaceID: workspaceID, Range: f.everything(), Rows: 1000, Blocks: 10})
		done := len(left) == 0 && len(blocks) == 1 && blocks[0].ID == after
		if done || !must && len(left) == rows && len(blocks) == 1 && blocks[0].ID == before {
			return
		}
		if look == 10 {
			f.Fatalf("%d of %d rows and the blocks %+v are there", len(left), rows, blocks)
		}
	}
}

// replacesTwice carries out pairs of changes at the same time.
func replacesTwice(f *fixture) {
	calls := f.callsOfADay(20)
	f.recordRows(calls[:10])
	var blocks []logsvc.SealedBlock
	for _, call := range calls[10:] {
		blocks = append(blocks, blockOf(call))
	}
	f.insert(acme, blocks...)
	for i := range 10 {
		change := logsvc.Change{Rows: calls[i : i+1]}
		if i%2 == 0 {
			change = logsvc.Change{Delete: []logsvc.Block{blocks[i].Block}}
		}
		f.oneOf(4, func() error {
			one := change
			one.Rows, one.Insert = f.outer(change.Rows), []logsvc.SealedBlock{blockOf(in("elsewhere", f.call(30*time.Hour)))}
			return f.store.Replace(f.Context(), f.scoped(acme), one)
		})
	}
	_, left := f.viewed(logsvc.ViewQuery{WorkspaceID: acme, Range: f.everything(), Rows: 1000, Blocks: 1000})
	if want := 10 + 5; len(left) != want {
		f.Errorf("%d blocks are left, want %d", len(left), want)
	}
}

// oneOf calls do several times at once: one call must succeed, and the others return ErrConflict.
func (f *fixture) oneOf(calls int, do func() error) {
	f.Helper()
	var group sync.WaitGroup
	var done atomic.Int32
	for range calls {
		group.Go(func() {
			switch err := do(); {
			case err == nil:
				done.Add(1)
			case !errors.Is(err, logsvc.ErrConflict):
				f.Errorf("Replace returned %v, want %v", err, logsvc.ErrConflict)
			}
		})
	}
	group.Wait()
	if done.Load() != 1 {
		f.Errorf("%d of %d changes were carried out, want one", done.Load(), calls)
	}
}

func replacesNothingElse(f *fixture) {
	calls := f.callsOfADay(4)
	other := in(globex, calls[1])
	f.recordRows(append([]logsvc.Entry{other}, calls...))
	theirs := blockOf(calls[1:3]...)
	f.insert(globex, theirs)
	ours := blockOf(calls[1:3]...)
	f.replace(acme, logsvc.Change{Rows: calls[1:3], Insert: []logsvc.SealedBlock{ours}}, nil)
	f.replace(acme, logsvc.Change{Delete: []logsvc.Block{ours.Block}}, nil)
	f.stores(globex, []logsvc.Entry{other}, theirs)
	f.stores(acme, []logsvc.Entry{calls[0], calls[3]})
}

func replacesAnySize(f *fixture) {
	f.replace(acme, logsvc.Change{}, nil)
	calls := f.callsOfADay(3000)
	f.recordRows(calls)
	sealed := blockOf(calls[1:]...)
	sealed.Data = make([]byte, 1<<20)
	f.replace(acme, logsvc.Change{Rows: calls[1:], Insert: []logsvc.SealedBlock{sealed}}, nil)
	f.stores(acme, calls[:1], sealed)
}
