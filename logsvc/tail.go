package logsvc

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

const (
	// TailMargin is how long before the end of a stream the entries begin that are sent again when it is resumed: entries of that
	// time may have been stored on their way to a reader that has gone, or while the store was away for less than a minute and
	// its connection was not known to be lost.
	TailMargin = 2 * time.Minute
	// heartbeat is how long a tail is silent at most.
	heartbeat = 15 * time.Second
	// messageRows is how many entries a message has at most. They take less than the 4 MB that a gRPC client accepts.
	messageRows = 500
	// maxBuffered entries and maxBufferedBytes wait for the reader of a tail at most. A batch has up to 5,000 entries, of some
	// 500 bytes.
	maxBuffered      = 10_000
	maxBufferedBytes = 8 << 20
	// resendStretch is the time of which entries are sent again at once, and from which a stream is resumed that breaks
	// meanwhile.
	resendStretch = 10 * time.Minute
)

var (
	errTailTooSlow  = fault.New(fault.TailTooSlow, "the reader is too slow; resume the stream")
	errTooManyTails = fault.New(
		fault.TooManyTails, "the workspace has %d open streams on this replica; try again later", maxTails,
	)
	errNotFollowed = fault.New(fault.StoreUnavailable, "what is stored cannot be followed at the moment; resume the stream")
)

// TailQuery selects the entries that a tail sends.
type TailQuery struct {
	WorkspaceID string
	Filter      Filter
	// CompleteTo is that of the last message of the stream that is resumed; zero = a new stream.
	CompleteTo time.Time
}

// TailMessage is what a tail sends at once.
type TailMessage struct {
	// Entries are by ascending id.
	Entries []*Entry
	// Gap is set in the first message of a resumed stream: the entries of this time or later are sent again.
	Gap time.Time
	// CompleteTo is the time, by the store's clock, up to which everything that was stored has been sent.
	CompleteTo time.Time
}

// Tail sends every entry of the query whose first record or report is stored while it runs, by any replica: at least once, as it
// is then, soon after it was stored. The first message comes once that is in force, and messages without entries every 15 s. A
// resumed stream sends the entries of query.CompleteTo less TailMargin or later again; what was stored meanwhile of older ones,
// first records and reports, is not sent.
//
// It runs until ctx is done or send fails. It returns a TailTooSlow fault if the reader is too slow, TooManyTails if the
// workspace has 20 tails, and StoreUnavailable if announcements of the store may have been lost. It may have to end while send
// blocks: it calls end with the fault, at most once, after which ctx must be done soon, and send must return.
func (s *Service) Tail(ctx context.Context, query TailQuery, send func(TailMessage) error, end func(error)) error {
	t := newTail(query.Filter, end)
	if err := s.hub.open(ctx, query.WorkspaceID, t); err != nil {
		return fmt.Errorf("tail request logs: %w", err)
	}
	defer s.hub.close(t)
	completeTo := s.Now()
	if err := s.begin(ctx, query, completeTo, send); err != nil {
		return fmt.Errorf("tail request logs: %w", err)
	}
	for {
		if err := t.wait(ctx); err != nil {
			return fmt.Errorf("tail request logs: %w", err)
		}
		now := s.hub.completeTo(t) // before take, which then has all that was stored by then
		entries, all := t.take()
		if all {
			completeTo = now
		}
		if err := send(TailMessage{Entries: entries, CompleteTo: completeTo}); err != nil {
			return fmt.Errorf("tail request logs: %w", err)
		}
	}
}

// begin sends the first message, and what is sent again: stretch by stretch, the oldest first, so that a stream that breaks
// meanwhile is resumed from there. It sends a message for each page, so that a search that finds little is not silent for long.
func (s *Service) begin(ctx context.Context, query TailQuery, opened time.Time, send func(TailMessage) error) error {
	if query.CompleteTo.IsZero() {
		return send(TailMessage{CompleteTo: opened})
	}
	from := uuid7.Time(s.window().From)
	if at := query.CompleteTo.Add(-TailMargin); at.After(from) {
		from = at
	}
	if err := send(TailMessage{Gap: from, CompleteTo: from.Add(TailMargin)}); err != nil {
		return err
	}
	for ; from.Before(opened); from = from.Add(resendStretch) {
		ids := TimeRange(from, from.Add(resendStretch))
		if below(uuid7.First(opened), ids.To) {
			ids.To = uuid.Max
		}
		list := Query{WorkspaceID: query.WorkspaceID, Filter: query.Filter, Range: ids, Limit: messageRows}
		if err := s.export(ctx, list, func(page Page, _ bool) error {
			return send(TailMessage{Entries: ascending(page.Entries), CompleteTo: from.Add(TailMargin)})
		}); err != nil {
			return err
		}
	}
	return nil
}

// ascending returns entries, which are by descending id, in the other order. Each is a copy: one that waits for a slow reader
// must not keep the whole page in memory.
func ascending(entries []Entry) []*Entry {
	all := make([]*Entry, len(entries))
	for i, e := range entries {
		all[len(entries)-1-i] = new(e)
	}
	return all
}

// FollowStore feeds the tails until ctx is done; without it none can be opened. It passes errors to onError, and goes on. At
// last it ends the tails, and waits for them.
func (s *Service) FollowStore(ctx context.Context, onError func(error)) { s.hub.follow(ctx, onError) }

// tail is an open stream: what waits for its reader.
type tail struct {
	filter Filter
	// end ends the stream although its reader does not read.
	end func(error)
	// changed has an element when entries or err are there.
	changed chan struct{}
	feed    *feed // constant once the tail is open

	mu      sync.Mutex
	entries []*Entry
	bytes   int
	// err is why the stream ends.
	err error
}

func newTail(filter Filter, end func(error)) *tail {
	return &tail{filter: filter, end: end, changed: make(chan struct{}, 1)}
}

// add adds the entries that the filter selects.
func (t *tail) add(entries []*Entry) {
	t.mu.Lock()
	if t.err != nil {
		t.mu.Unlock()
		return
	}
	for _, e := range entries {
		if t.filter.Match(e) {
			t.entries, t.bytes = append(t.entries, e), t.bytes+sizeOf(e)
		}
	}
	slow := len(t.entries) > maxBuffered || t.bytes > maxBufferedBytes
	some := len(t.entries) > 0
	t.mu.Unlock()
	if slow {
		t.fail(errTailTooSlow)
	} else if some {
		signal(t.changed)
	}
}

// fail ends the tail. What waits is dropped.
func (t *tail) fail(err error) {
	t.mu.Lock()
	first := t.err == nil
	if first {
		t.err = err
	}
	t.entries, t.bytes = nil, 0
	t.mu.Unlock()
	if first {
		signal(t.changed)
		t.end(err)
	}
}

// wait waits until there is something to send, for at most the time between heartbeats.
func (t *tail) wait(ctx context.Context) error {
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	case <-t.changed:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// take returns the next entries by ascending id, the versions of one in their order, and whether no others wait.
func (t *tail) take() (entries []*Entry, all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.entries), messageRows)
	entries, t.entries = t.entries[:n], t.entries[n:]
	for _, e := range entries {
		t.bytes -= sizeOf(e)
	}
	slices.SortStableFunc(entries, func(a, b *Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	if len(t.entries) > 0 {
		signal(t.changed)
		return entries, false
	}
	t.entries = nil
	return entries, true
}

// sizeOf returns about how many bytes an entry takes.
func sizeOf(e *Entry) int {
	const fixed = 300
	return fixed + len(e.KeyName) + len(e.ExternalID) + len(e.AgentID) + len(e.Endpoint)
}

// signal puts an element into a channel that holds one, if there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
