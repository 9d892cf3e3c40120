package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keytrail/keytrail/logsvc"
)

var listenSentences = []sentence{
	{"calls announce for each batch that Record stores, on any replica", announcesEachBatch},
	{"calls announce once View returns the entries", announcesWhatIsThere},
	{"the ranges contain the ids of the batch, and are at most a few of each workspace", fewRangesContainAll},
	{"the ranges contain the ids of a batch of many workspaces", manyWorkspacesAreAnnounced},
	{"the ranges leave out long times without an entry", longTimesAreLeftOut},
	{"first it calls ready, once: every batch that is stored from then on is announced", announcesFromReadyOn},
	{"a batch that changes nothing is announced, too", announcesWhatChangesNothing},
	{"returns an error when ctx is done, and calls neither function after that", listenEnds},
	{"several can listen at a time", severalListen},
}

// listener is a call of Listen.
type listener struct {
	f    *fixture
	stop func() error

	mu      sync.Mutex
	heard   []logsvc.Announcement
	changed chan struct{} // closed and replaced with each announcement
}

// listen listens until the test ends. onAnnounce may be nil.
func (f *fixture) listen(onAnnounce func(logsvc.Announcement)) *listener {
	f.Helper()
	l := &listener{f: f, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(f.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- f.store.Listen(ctx, func() { close(ready) }, func(a logsvc.Announcement) {
			if onAnnounce != nil {
				onAnnounce(a)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.heard = append(l.heard, a)
			close(l.changed)
			l.changed = make(chan struct{})
		})
	}()
	l.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	f.Cleanup(func() { _ = l.stop() })
	select {
	case <-ready:
	case err := <-ended:
		f.Fatalf("Listen: %v", err)
	}
	return l
}

// announced returns the ranges of the workspace of an entry so far.
func (l *listener) announced(e logsvc.Entry) (ranges []logsvc.Range, changed chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.heard {
		ranges = slices.Concat(ranges, a[l.f.scoped(e.WorkspaceID)], a[logsvc.EveryWorkspace])
	}
	return ranges, l.changed
}

// hears waits until the id of each entry was announced, as often as said.
func (l *listener) hears(times int, entries ...logsvc.Entry) {
	l.f.Helper()
	late := time.After(time.Minute)
	for _, e := range entries {
		for {
			ranges, changed := l.announced(e)
			ranges = slices.DeleteFunc(ranges, func(r logsvc.Range) bool { return !r.Contains(e.ID) })
			if len(ranges) >= times {
				break
			}
			select {
			case <-changed:
			case <-late:
				l.f.Fatalf("%s of %s was announced %d times, want %d", e.ID, e.WorkspaceID, len(ranges), times)
			}
		}
	}
}

// announcesEachBatch records on both replicas. The ids are hours apart: no range contains two of them.
func announcesEachBatch(f *fixture) {
	l := f.listen(nil)
	for i := range 6 {
		call := f.call(time.Duration(i) * time.Hour)
		f.recordRows([]logsvc.Entry{call, in(globex, call)})
		l.hears(1, call, in(globex, call))
	}
	f.recordRows(nil)
}

func announcesWhatIsThere(f *fixture) {
	l := f.listen(func(a logsvc.Announcement) {
		for workspaceID, ranges := range a {
			for _, ids := range ranges {
				view, err := f.store.View(f.Context(), logsvc.ViewQuery{WorkspaceID: workspaceID, Range: ids, Rows: 1, Blocks: 1})
				if err != nil || len(view.Rows) == 0 {
					f.Errorf("%v of %s was announced, and View returns %v, %v", ids, workspaceID, view.Rows, err)
				}
			}
		}
	})
	for i := range 20 {
		call := f.call(time.Duration(i) * time.Hour)
		f.recordRows([]logsvc.Entry{call})
		l.hears(1, call)
	}
}

func fewRangesContainAll(f *fixture) {
	l := f.listen(nil)
	batch := f.calls(3000)
	for i := range batch {
		batch[i].ID = f.call(rand.N(25 * time.Hour)).ID
	}
	f.recordRows(batch)
	l.hears(1, batch...)
	if ranges, _ := l.announced(batch[0]); len(ranges) > 10 {
		f.Errorf("%d ranges were announced", len(ranges))
	}
}

func manyWorkspacesAreAnnounced(f *fixture) {
	l := f.listen(nil)
	for _, workspaces := range []int{100, 3000} {
		batch := f.calls(workspaces)
		for i := range batch {
			batch[i].WorkspaceID = strings.Repeat("w", 40) + fmt.Sprint(workspaces, i)
		}
		late := in(batch[0].WorkspaceID, f.call(20*time.Hour))
		batch = append(batch, late)
		f.recordRows(batch)
		l.hears(1, batch...)
		between := f.call(10 * time.Hour).ID
		if ranges, _ := l.announced(late); slices.ContainsFunc(ranges, func(r logsvc.Range) bool { return r.Contains(between) }) {
			f.Errorf("of %d workspaces, %v were announced", workspaces, ranges)
		}
	}
}

func longTimesAreLeftOut(f *fixture) {
	l := f.listen(nil)
	batch := append(f.calls(100), f.callsBefore(f.now.Add(-20*time.Hour), 100)...)
	f.recordRows(batch)
	l.hears(1, batch...)
	ranges, _ := l.announced(batch[0])
	for _, ago := range []time.Duration{-time.Minute, 3 * time.Minute, 10 * time.Hour, 21 * time.Hour} {
		if slices.ContainsFunc(ranges, func(r logsvc.Range) bool { return r.Contains(f.call(ago).ID) }) {
			f.Errorf("%v ago is in %v", ago, ranges)
		}
	}
}

// announcesFromReadyOn listens while batches are stored all the time.
func announcesFromReadyOn(f *fixture) {
	var mu sync.Mutex
	var begun []logsvc.Entry
	stop := make(chan struct{})
	var group sync.WaitGroup
	for writer := range 2 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				call := f.call(time.Duration(2*i+writer) * 2 * time.Second)
				mu.Lock()
				begun = append(begun, call)
				mu.Unlock()
				f.recordIn([]logsvc.Entry{call}, 1)
			}
		})
	}
	for range 5 {
		l := f.listen(nil)
		mu.Lock()
		from := len(begun)
		mu.Unlock()
		f.recordRows([]logsvc.Entry{f.call(5 * day)})
		mu.Lock()
		later := slices.Clone(begun[from:])
		mu.Unlock()
		l.hears(1, later...)
	}
	close(stop)
	group.Wait()
}

func announcesWhatChangesNothing(f *fixture) {
	l := f.listen(nil)
	call := f.call(0)
	for times := range 3 {
		f.recordRows([]logsvc.Entry{call})
		l.hears(times+1, call)
	}
}

func listenEnds(f *fixture) {
	l := f.listen(nil)
	call := f.call(0)
	f.recordRows([]logsvc.Entry{call})
	l.hears(1, call)
	if err := l.stop(); !errors.Is(err, context.Canceled) {
		f.Errorf("Listen returned %v", err)
	}
	before, _ := l.announced(call)
	f.recordRows([]logsvc.Entry{call})
	f.recordRows([]logsvc.Entry{call})
	if after, _ := l.announced(call); len(after) != len(before) {
		f.Error("announce was called after Listen had returned")
	}
}

func severalListen(f *fixture) {
	first, second := f.listen(nil), f.listen(nil)
	call, later := f.call(time.Hour), f.call(0)
	f.recordRows([]logsvc.Entry{call})
	first.hears(1, call)
	second.hears(1, call)
	_ = first.stop()
	f.recordRows([]logsvc.Entry{later})
	second.hears(1, later)
}
