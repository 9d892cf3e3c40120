package logsvc

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// maxTails is how many tails a workspace has at most on a replica.
	maxTails = 20
	// maxPending is how many ranges of ids a feed has to read at most; more are joined.
	maxPending = 32
	// readRows is how many entries a feed reads at once.
	readRows = 1000
	// readPause is the time between two reads of a feed. The batches of several auth services have nearly the same times.
	readPause = 100 * time.Millisecond
	// openWait is how long a tail waits at most for the store to be listened to.
	openWait = 2 * time.Second
	// The store is listened to again after minListenDelay, doubled with each failure, up to maxListenDelay.
	minListenDelay = 50 * time.Millisecond
	maxListenDelay = 5 * time.Second
)

// hub reads what the store announces, once for each workspace that has tails, and passes it on to them. It is safe for concurrent
// use.
type hub struct {
	store    Store
	searcher *Searcher
	// window returns the ids that are shown.
	window func() Range
	now    func() time.Time
	// onError is set before the first feed is there.
	onError func(error)

	mu sync.Mutex
	// following is the context of the feeds while the store is listened to; nil otherwise, until begun is closed.
	following context.Context
	begun     chan struct{}
	// feeds are those of the workspaces that have tails.
	feeds map[string]*feed
	// running are the readers of the feeds, and the tails.
	running sync.WaitGroup
}

// feed is a workspace that has tails. The hub's mutex guards it.
type feed struct {
	workspaceID string
	tails       map[*tail]struct{}
	// pending are announced ranges that are not read yet.
	pending []Range
	// behindSince is when the oldest of what the tails have not got was announced; zero = they have got everything.
	behindSince time.Time
	// announced has an element when pending is not empty.
	announced chan struct{}
	// stop ends its reader, which alone uses sent.
	stop context.CancelFunc
	sent sentCache
}

// follow listens to the store until ctx is done. It reports each error: it then ends the tails, because announcements may have
// been lost, and their readers resume. It returns after the last tail has ended.
func (h *hub) follow(ctx context.Context, onError func(error)) {
	h.onError = onError
	delay := minListenDelay
	for {
		ready, err := h.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		onError(err)
		if ready {
			delay = minListenDelay
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
		delay = min(2*delay, maxListenDelay)
	}
}

// listen listens until that fails.
func (h *hub) listen(ctx context.Context) (ready bool, err error) {
	following, stop := context.WithCancel(ctx)
	err = h.store.Listen(ctx, func() {
		ready = true
		h.mu.Lock()
		defer h.mu.Unlock()
		h.following = following
		close(h.begun)
	}, h.announce)
	h.mu.Lock()
	if ready {
		h.following, h.begun = nil, make(chan struct{})
	}
	for _, f := range h.feeds {
		h.end(f, errNotFollowed)
	}
	h.mu.Unlock()
	stop()
	h.running.Wait()
	return ready, err
}

// await waits until the store is listened to.
func (h *hub) await(ctx context.Context) error {
	h.mu.Lock()
	begun := h.begun
	h.mu.Unlock()
	late := time.NewTimer(openWait)
	defer late.Stop()
	select {
	case <-begun:
		return nil
	case <-late.C:
		return errNotFollowed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// open adds a tail: what is stored from now on is passed on to it.
func (h *hub) open(ctx context.Context, workspaceID string, t *tail) error {
	if err := h.await(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.following == nil {
		return errNotFollowed
	}
	f := h.feeds[workspaceID]
	if f == nil {
		f = &feed{workspaceID: workspaceID, tails: map[*tail]struct{}{}, announced: make(chan struct{}, 1)}
		h.feeds[workspaceID] = f
		ctx, stop := context.WithCancel(h.following)
		f.stop = stop
		h.running.Go(func() { h.read(ctx, f) })
	}
	if len(f.tails) == maxTails {
		return errTooManyTails
	}
	h.running.Add(1)
	t.feed = f
	f.tails[t] = struct{}{}
	return nil
}

// close removes a tail, and its feed with the last one.
func (h *hub) close(t *tail) {
	defer h.running.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(t.feed.tails, t)
	if len(t.feed.tails) == 0 && h.feeds[t.feed.workspaceID] == t.feed {
		h.end(t.feed, nil)
	}
}

// end removes a feed and ends its tails. The caller holds the mutex.
func (h *hub) end(f *feed, err error) {
	f.stop()
	delete(h.feeds, f.workspaceID)
	for t := range f.tails {
		t.fail(err)
	}
}

// announce takes an announcement of the store.
func (h *hub) announce(a Announcement) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.feeds {
		ranges := slices.Concat(a[f.workspaceID], a[EveryWorkspace])
		if len(ranges) == 0 {
			continue
		}
		f.pending = cluster(append(f.pending, ranges...), maxPending)
		if f.behindSince.IsZero() {
			f.behindSince = h.now()
		}
		signal(f.announced)
	}
}

// completeTo returns the time up to which everything that was stored has been added to a tail.
func (h *hub) completeTo(t *tail) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.feed.behindSince.IsZero() {
		return h.now()
	}
	return t.feed.behindSince
}

// read reads what is announced to a feed, until ctx is done.
func (h *hub) read(ctx context.Context, f *feed) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.announced:
		}
		h.mu.Lock()
		pending, began := f.pending, h.now()
		f.pending = nil
		h.mu.Unlock()
		err := h.passOn(ctx, f, pending)
		if err != nil && ctx.Err() == nil {
			h.onError(fmt.Errorf("read what was stored of %s: %w", f.workspaceID, err))
		}
		h.mu.Lock()
		if err != nil && h.feeds[f.workspaceID] == f {
			h.end(f, errNotFollowed)
		}
		f.behindSince = time.Time{}
		if len(f.pending) > 0 {
			f.behindSince = began
		}
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(readPause):
		}
	}
}

// passOn reads ranges, the oldest first, and adds what has changed to the tails.
func (h *hub) passOn(ctx context.Context, f *feed, ranges []Range) error {
	for _, ids := range ranges {
		ids = ids.Overlap(Range{From: h.window().From, To: uuid.Max})
		for !ids.Empty() {
			page, err := h.searcher.List(ctx, Query{WorkspaceID: f.workspaceID, Range: ids, Limit: readRows})
			if err != nil {
				return err
			}
			entries := f.sent.changed(ascending(page.Entries))
			for _, t := range h.tailsOf(f) {
				t.add(entries)
			}
			ids.To = page.SearchedTo
		}
	}
	return nil
}

// tailsOf returns the tails that were open after the last read.
func (h *hub) tailsOf(f *feed) []*tail {
	h.mu.Lock()
	defer h.mu.Unlock()
	tails := make([]*tail, 0, len(f.tails))
	for t := range f.tails {
		tails = append(tails, t)
	}
	return tails
}
