package logsvc

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// DefaultSearchBudget is how long a search for one page may take by default.
const DefaultSearchBudget = 250 * time.Millisecond

// Config configures a Service. Its zero values are not defaults: see the constants.
type Config struct {
	// Retention is how long rows are kept and shown.
	Retention time.Duration
	// SearchBudget is how long a search for one page may take; a page that is not full by then is returned as it is.
	SearchBudget time.Duration
	// Now is the clock of this machine.
	Now func() time.Time
	// ReadTime reads the clock of the store; nil = it is that of this machine.
	ReadTime ReadTime
	// OnDamage is called for each damaged block that a search meets.
	OnDamage func(workspaceID string, b Block, err error)
}

// Service records and finds request logs within the retention window. It is safe for concurrent use.
type Service struct {
	store    Store
	config   Config
	clock    clock
	searcher *Searcher
	turns    turns
	// exports are the turns of exports among each other, and openExports those of whole exports.
	exports     turns
	openExports turns
	sealer      *Sealer
	hub         *hub
	rejected    [rejectReasons]atomic.Int64
	purged      atomic.Int64
	sealed      atomic.Int64
	// unconfirmed is how many days have ended and wait for a confirmation.
	unconfirmed atomic.Int64
}

// NewService returns a service on a store.
func NewService(store Store, config Config) *Service {
	s := &Service{
		store: store, config: config, clock: clock{local: config.Now, read: config.ReadTime},
		searcher:    NewSearcher(store, config.OnDamage),
		turns:       newTurns(),
		exports:     turns{atOnce: maxExports, queues: map[string]*queue{}},
		openExports: turns{atOnce: maxOpenExports, queues: map[string]*queue{}},
	}
	s.sealer = NewSealer(store, SealConfig{SealRows: DefaultSealRows, BlockRows: DefaultBlockRows, Grace: DefaultGrace, Now: s.Now})
	s.hub = &hub{
		store: store, searcher: s.searcher, window: s.window, now: s.Now, feeds: map[string]*feed{}, begun: make(chan struct{}),
	}
	return s
}

// Retention returns how long rows are kept and shown.
func (s *Service) Retention() time.Duration { return s.config.Retention }

// RejectReason says why a row is never stored.
type RejectReason int

// The reasons.
const (
	// Malformed rows break a rule of the contract.
	Malformed RejectReason = iota
	// TooOld rows are older than the retention.
	TooOld
	// TooNew rows are more than a day in the future.
	TooNew
	rejectReasons
)

// String returns the reason as the contract and the metrics name it.
func (r RejectReason) String() string {
	return [rejectReasons]string{"malformed", "too_old", "too_new"}[r]
}

// Rejection is the reason why one row is never stored, for programs and for people.
type Rejection struct {
	Reason  RejectReason
	Message string
}

// reject returns why an entry can never be stored; ok is false if it can.
func reject(window Range, e Entry) (r Rejection, ok bool) {
	switch {
	case !uuid7.Valid(e.ID):
		return Rejection{Malformed, "id: must be a UUIDv7"}, true
	case bytes.Compare(e.ID[:], window.From[:]) < 0:
		return Rejection{TooOld, "id: its time is older than the retention"}, true
	case bytes.Compare(e.ID[:], window.To[:]) >= 0:
		return Rejection{TooNew, "id: its time is more than a day in the future"}, true
	}
	return Rejection{}, false
}

// rejections returns why entries can never be stored, by their index, and whether one of them is outside the window.
func rejections(window Range, entries []Entry) (rejected map[int]Rejection, outside bool) {
	rejected = map[int]Rejection{}
	for i, e := range entries {
		if rejection, ok := reject(window, e); ok {
			rejected[i] = rejection
			outside = outside || rejection.Reason != Malformed
		}
	}
	return rejected, outside
}

// rejectForTime is rejections by the store's clock of this moment. A row that is rejected is lost to its sender, so both clocks
// must agree on each that is outside the window; otherwise the sender must try again.
func (s *Service) rejectForTime(ctx context.Context, entries []Entry) (rejected map[int]Rejection, err error) {
	if err := s.clock.update(ctx); err != nil {
		return nil, err
	}
	rejected, _ = rejections(s.window(), entries)
	local := WindowAt(s.config.Now(), s.config.Retention)
	for i, r := range rejected {
		if r.Reason != Malformed && local.Contains(entries[i].ID) {
			return nil, fault.New(fault.StoreUnavailable,
				"the clocks of the log service and of its store disagree on whether a row is too old or too new; try again")
		}
	}
	return rejected, nil
}

// Rejected returns how many rows have been rejected since the start, by reason.
func (s *Service) Rejected() map[RejectReason]int64 {
	counts := make(map[RejectReason]int64, rejectReasons)
	for reason := range rejectReasons {
		counts[reason] = s.rejected[reason].Load()
	}
	return counts
}

// Record durably stores the entries of the window. It returns why it rejected the others, by their index. It returns an
// Unavailable fault, and stores nothing, if an entry is outside the window by the store's clock and not by that of this machine.
func (s *Service) Record(ctx context.Context, entries []Entry) (rejected map[int]Rejection, err error) {
	rejected, outside := rejections(s.window(), entries)
	if outside {
		if rejected, err = s.rejectForTime(ctx, entries); err != nil {
			return nil, err
		}
	}
	accepted := make([]Entry, 0, len(entries))
	for i, e := range entries {
		if rejection, ok := rejected[i]; ok {
			s.rejected[rejection.Reason].Add(1)
			continue
		}
		accepted = append(accepted, e)
	}
	if len(accepted) == 0 {
		return rejected, nil
	}
	if err := s.store.Record(ctx, accepted); err != nil {
		return nil, fmt.Errorf("record %d request logs: %w", len(accepted), err)
	}
	return rejected, nil
}

// Get returns one entry, or a NotFound fault. It waits for its turn as List does.
func (s *Service) Get(ctx context.Context, workspaceID string, id uuid.UUID) (Entry, error) {
	done, err := s.turns.take(ctx, workspaceID)
	if err != nil {
		return Entry{}, fmt.Errorf("get a request log: %w", err)
	}
	defer done()
	entry, found, err := s.searcher.Get(ctx, workspaceID, id)
	if err != nil {
		return Entry{}, fmt.Errorf("get a request log: %w", err)
	}
	from := s.window().From
	if !found || bytes.Compare(id[:], from[:]) < 0 {
		return Entry{}, fault.New(fault.RequestLogNotFound, "request log not found")
	}
	return entry, nil
}

// List returns one page of the entries of the window. It sets the query's budget. More reports whether anything is left to search
// below page.SearchedTo. Few searches of one workspace run at a time; the others wait, or get a TooManySearches fault.
func (s *Service) List(ctx context.Context, query Query) (page Page, more bool, err error) {
	query.Range = query.Range.Overlap(Range{From: s.window().From, To: uuid.Max})
	if query.Range.Empty() {
		return Page{SearchedTo: query.Range.From}, false, nil
	}
	done, err := s.turns.take(ctx, query.WorkspaceID)
	if err != nil {
		return Page{}, false, fmt.Errorf("list request logs: %w", err)
	}
	defer done()
	query.Budget = s.config.SearchBudget
	if page, err = s.searcher.List(ctx, query); err != nil {
		return Page{}, false, fmt.Errorf("list request logs: %w", err)
	}
	return page, page.SearchedTo != query.Range.From, nil
}
