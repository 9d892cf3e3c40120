package storetest

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

const (
	acme   = "acme"
	globex = "globex"

	day = 24 * time.Hour
	// sealRows and blockRows are so small that a few rows fill several blocks, and blocks are joined at the end of a day.
	sealRows  = 4
	blockRows = 8
)

// subject is the store of one sentence, and what searches and seals it. All times are relative to now, because a store need only
// keep rows of the retention and one day ahead.
type subject struct {
	store    logsvc.Store
	searcher *logsvc.Searcher
	sealer   *logsvc.Sealer
	now      time.Time
	// ahead is by how much the sealer's clock is after now.
	ahead *atomic.Int64
	// damaged counts the damaged blocks that the searcher has met.
	damaged *atomic.Int64
}

func newSubject(store logsvc.Store, now time.Time) subject {
	s := subject{store: store, now: now, ahead: &atomic.Int64{}, damaged: &atomic.Int64{}}
	// So far ahead, all rows are at rest and all of their days have ended.
	s.ahead.Store(int64(3 * day))
	s.searcher = logsvc.NewSearcher(store, func(string, logsvc.Block, error) { s.damaged.Add(1) })
	s.sealer = s.newSealer(store)
	return s
}

func (s subject) newSealer(store logsvc.Store) *logsvc.Sealer {
	return logsvc.NewSealer(store, logsvc.SealConfig{
		SealRows: sealRows, BlockRows: blockRows, Grace: 15 * time.Minute,
		Now: func() time.Time { return s.now.Add(time.Duration(s.ahead.Load())) },
	})
}

// fixture is a subject in one mode. The modes of a sentence share a store; each has workspaces of its own, whose names begin
// with the mode in the store, but not in the tests.
type fixture struct {
	*testing.T
	subject
	mode mode
	// recorded counts the calls of record, and unsettled the seals that the next pages are followed by.
	recorded, unsettled int
}

// scoped returns the name of a workspace in the store.
func (f *fixture) scoped(workspaceID string) string { return string(f.mode) + "/" + workspaceID }

// outer returns entries as the store gets them, and inner the reverse.
func (f *fixture) outer(entries []logsvc.Entry) []logsvc.Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].WorkspaceID = f.scoped(entries[i].WorkspaceID)
	}
	return entries
}

func (f *fixture) inner(entries []logsvc.Entry) []logsvc.Entry {
	f.Helper()
	entries = slices.Clone(entries)
	for i := range entries {
		name, ok := strings.CutPrefix(entries[i].WorkspaceID, f.scoped(""))
		if !ok {
			f.Errorf("an entry of workspace %q was returned", entries[i].WorkspaceID)
		}
		entries[i].WorkspaceID = name
	}
	return entries
}

// everything returns the range of all ids that a store may hold.
func (f *fixture) everything() logsvc.Range {
	return logsvc.Range{From: uuid7.First(f.now.Add(-30 * day)), To: uuid7.First(f.now.Add(day))}
}

func (f *fixture) list(query logsvc.Query) logsvc.Page {
	f.Helper()
	query.WorkspaceID = f.scoped(query.WorkspaceID)
	page, err := f.searcher.List(f.Context(), query)
	if err != nil {
		f.Fatalf("List(%+v): %v", query, err)
	}
	if len(page.Unreadable) > 0 {
		f.Errorf("List(%+v) could not read %v", query, page.Unreadable)
	}
	page.Entries = f.inner(page.Entries)
	f.pageListed()
	return page
}

// all returns all matches of the workspace: in one page, or in pages that are sealed between.
func (f *fixture) all(workspaceID string, filter logsvc.Filter) (entries []logsvc.Entry) {
	f.Helper()
	query := logsvc.Query{WorkspaceID: workspaceID, Filter: filter, Range: f.everything()}
	for !query.Range.Empty() {
		query.Limit = 100_000
		if f.mode == betweenPages && f.unsettled > 0 {
			query.Limit = 3
		}
		page := f.list(query)
		f.progressed(query, page)
		entries = append(entries, page.Entries...)
		query.Range.To = page.SearchedTo
	}
	return entries
}

// get returns the entry of a workspace and id.
func (f *fixture) get(workspaceID string, id uuid.UUID) (e logsvc.Entry, found bool) {
	f.Helper()
	e, found, err := f.searcher.Get(f.Context(), f.scoped(workspaceID), id)
	if err != nil {
		f.Fatalf("Get(%s, %s): %v", workspaceID, id, err)
	}
	if found {
		e = f.inner([]logsvc.Entry{e})[0]
	}
	return e, found
}

// holds fails unless the workspace holds exactly these entries, newest first.
func (f *fixture) holds(workspaceID string, want ...logsvc.Entry) {
	f.Helper()
	f.same(f.all(workspaceID, logsvc.Filter{}), want)
}

// holdsEach fails unless Get returns each of the entries; after the first ones, some are sealed.
func (f *fixture) holdsEach(want ...logsvc.Entry) {
	f.Helper()
	for _, e := range want {
		if got, found := f.get(e.WorkspaceID, e.ID); !found || got != e {
			f.Errorf("Get(%s, %s) = %+v, %t\nwant %+v", e.WorkspaceID, e.ID, got, found, e)
		}
		f.pageListed()
	}
}

// same fails at the first difference.
func (f *fixture) same(got, want []logsvc.Entry) {
	f.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			f.Fatalf("of %d entries, number %d is\n%+v\nwant %d, and it is\n%+v", len(got), i, got[i], len(want), want[i])
		}
	}
	if len(got) != len(want) {
		longer, n := got, len(want)
		if len(want) > len(got) {
			longer, n = want, len(got)
		}
		f.Fatalf("got %d entries, want %d; the first that only one of them has:\n%+v", len(got), len(want), longer[n])
	}
}

// purge deletes all entries of the workspace up to an id and returns how many.
func (f *fixture) purge(workspaceID string, upTo uuid.UUID) (total int64) {
	f.Helper()
	for {
		n, more, err := f.sealer.Purge(f.Context(), f.scoped(workspaceID), upTo, time.Now().Add(time.Minute))
		if err != nil {
			f.Fatalf("Purge: %v", err)
		}
		total += n
		if !more {
			return total
		}
	}
}

func (f *fixture) expire(before uuid.UUID) {
	f.Helper()
	if _, err := f.store.Expire(f.Context(), before, math.MaxInt); err != nil {
		f.Fatalf("Expire: %v", err)
	}
}
