package logsvc_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/logsvc"
)

// announcingStore is a store of rows of one workspace, in memory. What it holds changes and is announced as a test says.
type announcingStore struct {
	logsvc.Store
	// broken ends Listen with its errors.
	broken chan error

	mu       sync.Mutex
	announce func(logsvc.Announcement)
	entries  []logsvc.Entry
	// views counts the calls of View, each of which takes a time and returns err.
	views int
	takes time.Duration
	err   error
}

func (s *announcingStore) Listen(ctx context.Context, ready func(), announce func(logsvc.Announcement)) error {
	s.mu.Lock()
	s.announce = announce
	s.mu.Unlock()
	ready()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-s.broken:
		return err
	}
}

func (s *announcingStore) View(_ context.Context, query logsvc.ViewQuery) (logsvc.View, error) {
	s.mu.Lock()
	s.views++
	view, takes, err := logsvc.View{RowsFrom: query.Range.From, BlocksFrom: query.Range.From}, s.takes, s.err
	for _, e := range slices.Backward(s.entries) {
		if query.Range.Contains(e.ID) {
			view.Rows = append(view.Rows, e)
		}
	}
	s.mu.Unlock()
	<-time.After(takes)
	return view, err
}

// store stores entries, of which the oldest is first, and announces them.
func (s *announcingStore) store(entries ...logsvc.Entry) {
	s.mu.Lock()
	s.entries = append(s.entries, entries...)
	announce := s.announce
	s.mu.Unlock()
	announce(logsvc.Announce(entries))
}

// withStore runs a test with a service that follows a store in memory.
func withStore(t *testing.T, test func(*testing.T, *logsvc.Service, *announcingStore)) {
	synctest.Test(t, func(t *testing.T) {
		store := &announcingStore{broken: make(chan error)}
		service := logsvc.NewService(store, config(time.Now))
		follow(t, service)
		test(t, service, store)
	})
}

func TestTailIsNeverSilentForLong(t *testing.T) {
	withStore(t, func(t *testing.T, service *logsvc.Service, _ *announcingStore) {
		r := tail(t, service, logsvc.TailQuery{})
		for i := range 3 {
			opened := time.Now()
			m := <-r.messages
			if took := time.Since(opened); took != 15*time.Second || len(m.Entries) > 0 || !m.CompleteTo.Equal(time.Now()) {
				t.Errorf("message %d came after %v: %+v", i, took, m)
			}
		}
	})
}

// TestTailIsNotCompleteToWhatIsNotRead: a stream that breaks while an announced row is read must be resumed before it.
func TestTailIsNotCompleteToWhatIsNotRead(t *testing.T) {
	withStore(t, func(t *testing.T, service *logsvc.Service, store *announcingStore) {
		r := tail(t, service, logsvc.TailQuery{})
		store.takes = time.Minute
		stored := time.Now()
		row := entryAt(stored)
		store.store(row)
		for r.last.Entries == nil {
			if r.last = <-r.messages; len(r.last.Entries) == 0 && r.last.CompleteTo.After(stored) {
				t.Errorf("before the row is sent, the tail is complete to %v after it", r.last.CompleteTo.Sub(stored))
			}
		}
		if r.last = <-r.messages; !r.last.CompleteTo.Equal(time.Now()) {
			t.Errorf("at last it is complete to %v ago", time.Since(r.last.CompleteTo))
		}
	})
}

func TestOneReaderServesAllTails(t *testing.T) {
	withStore(t, func(t *testing.T, service *logsvc.Service, store *announcingStore) {
		var tails []*reader
		for range 20 {
			tails = append(tails, tail(t, service, logsvc.TailQuery{}))
		}
		for range 100 { // while the first is read
			store.store(entryAt(time.Now()))
		}
		synctest.Wait()
		for _, r := range tails {
			r.gets(store.entries[:1]...)
		}
		<-time.After(time.Second)
		if store.views > 3 {
			t.Errorf("100 batches were read %d times", store.views)
		}
		for _, r := range tails {
			r.cancel()
		}
		synctest.Wait()
		store.store(entryAt(time.Now()))
		synctest.Wait()
		if store.views > 3 {
			t.Error("a workspace without tails was read")
		}
	})
}

func TestUnchangedRowIsNotSentAgain(t *testing.T) {
	withStore(t, func(t *testing.T, service *logsvc.Service, store *announcingStore) {
		r := tail(t, service, logsvc.TailQuery{})
		first := entryAt(time.Now())
		store.store(first)
		r.gets(first)
		second := entryAt(time.Now().Add(time.Millisecond))
		store.store(first, second)
		if got := r.next(); len(got) != 1 || got[0] != second {
			t.Errorf("sent %+v", got)
		}
	})
}

// TestReportsOfLongCallsSendNoOtherRowAgain: the announced ranges contain all rows of a minute.
func TestReportsOfLongCallsSendNoOtherRowAgain(t *testing.T) {
	withStore(t, func(t *testing.T, service *logsvc.Service, store *announcingStore) {
		r := tail(t, service, logsvc.TailQuery{})
		began := time.Now().Add(-time.Minute)
		for second := range slices.Chunk(make([]logsvc.Entry, 60_000), 1000) {
			for i := range second {
				second[i] = entryAt(began)
				began = began.Add(time.Millisecond)
			}
			store.store(second...)
			r.gets(second...)
		}
		for i := range 60 {
			store.entries[i*1000].Status = 500
		}
		store.announce(logsvc.Announce(store.entries))
		sent := 0
		for oldest := false; !oldest; {
			got := r.next()
			sent, oldest = sent+len(got), slices.Contains(got, store.entries[0])
		}
		if sent != 60 {
			t.Errorf("after 60 reports %d rows were sent", sent)
		}
	})
}

// TestRowThatWaitsKeepsNoOtherInMemory: the filter selects one row of each page.
func TestRowThatWaitsKeepsNoOtherInMemory(t *testing.T) {
	withStore(t, func(t *testing.T, service *logsvc.Service, store *announcingStore) {
		tail(t, service, logsvc.TailQuery{Filter: logsvc.Filter{Method: "PUT"}})
		before := heapBytes()
		for range 100 {
			store.entries = nil
			page := make([]logsvc.Entry, 1000)
			for i := range page {
				page[i] = entryAt(time.Now())
			}
			page[0].Method = "PUT"
			store.store(page...)
			<-time.After(time.Second)
		}
		store.entries = nil
		if grown := heapBytes() - before; grown > 12<<20 {
			t.Errorf("100 rows that wait take %d MiB", grown>>20)
		}
	})
}

func heapBytes() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestTailSendsNoRowOlderThanTheRetention(t *testing.T) {
	withStore(t, func(t *testing.T, service *logsvc.Service, store *announcingStore) {
		r := tail(t, service, logsvc.TailQuery{})
		old, fresh := entryAt(time.Now().Add(-logsvc.DefaultRetention-time.Minute)), entryAt(time.Now())
		store.store(old, fresh)
		if got := r.next(); len(got) != 1 || got[0] != fresh {
			t.Errorf("sent %+v", got)
		}
	})
}

func TestTailsEndWhenAnnouncementsMayBeLost(t *testing.T) {
	for name, breaks := range map[string]func(*announcingStore){
		"the store is not listened to": func(s *announcingStore) { s.broken <- errors.New("connection lost") },
		"the store cannot be read": func(s *announcingStore) {
			s.err = errors.New("cannot read")
			s.store(entryAt(time.Now()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			withStore(t, func(t *testing.T, service *logsvc.Service, store *announcingStore) {
				r, idle := tail(t, service, logsvc.TailQuery{}), tail(t, service, logsvc.TailQuery{})
				breaks(store)
				r.expectEnd(fault.StoreUnavailable)
				idle.expectEnd(fault.StoreUnavailable)
				<-time.After(time.Second)
				store.err = nil
				tail(t, service, logsvc.TailQuery{})
			})
		})
	}
}

// TestAnnouncementForEveryWorkspaceIsRead: one of a batch of very many workspaces.
func TestAnnouncementForEveryWorkspaceIsRead(t *testing.T) {
	withStore(t, func(t *testing.T, service *logsvc.Service, store *announcingStore) {
		r := tail(t, service, logsvc.TailQuery{})
		row := entryAt(time.Now())
		store.entries = append(store.entries, row)
		store.announce(logsvc.Announce([]logsvc.Entry{row}).ForEveryWorkspace())
		r.gets(row)
	})
}

// TestAnnouncementsWhileAFeedReadsTakeLittleMemory: they are joined to few ranges, which still contain every row.
func TestAnnouncementsWhileAFeedReadsTakeLittleMemory(t *testing.T) {
	withStore(t, func(t *testing.T, service *logsvc.Service, store *announcingStore) {
		r := tail(t, service, logsvc.TailQuery{})
		store.takes = 5 * time.Second
		for i := range 300 {
			store.store(entryAt(time.Now().Add(time.Duration(i-300) * time.Minute)))
			synctest.Wait() // the first one is being read
		}
		r.gets(store.entries...)
		if store.views > 40 {
			t.Errorf("300 batches of different times were read by %d queries", store.views)
		}
	})
}
