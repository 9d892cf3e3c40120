package logsvc

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// DefaultSearchBudget is how long one page may search before it answers with what it has found.
const DefaultSearchBudget = 250 * time.Millisecond

// Config is what an operator can set. Zero values are not defaults: see the constants.
type Config struct {
	// Retention is how long rows are kept and shown.
	Retention time.Duration
	// SearchBudget is how long one page may search.
	SearchBudget time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Service records and finds request logs within the retention window. It may be used concurrently.
type Service struct {
	store   Store
	config  Config
	refused refusals
}

// NewService makes the service over a store.
func NewService(store Store, config Config) *Service {
	return &Service{store: store, config: config}
}

func (s *Service) window() Window { return WindowAt(s.config.Now(), s.config.Retention) }

// refuse says why an entry can never be stored; fits if it can.
func (w Window) refuse(e Entry) RefusedEntry {
	switch {
	case !uuid7.Valid(e.ID):
		return RefusedEntry{Malformed, "id: must be a UUIDv7"}
	case bytes.Compare(e.ID[:], w.From[:]) < 0:
		return RefusedEntry{TooOld, "id: its time is older than the retention"}
	case bytes.Compare(e.ID[:], w.To[:]) >= 0:
		return RefusedEntry{TooNew, "id: its time is more than a day in the future"}
	}
	return fits
}

// Record stores entries of the window, durably, and answers why it did not store the others, by their position.
func (s *Service) Record(ctx context.Context, entries []Entry) (refused map[int]RefusedEntry, err error) {
	window := s.window()
	fit := make([]Entry, 0, len(entries))
	refused = map[int]RefusedEntry{}
	for i, e := range entries {
		if reason := window.refuse(e); reason != fits {
			refused[i] = reason
			s.refused.count(reason.Class)
			continue
		}
		fit = append(fit, e)
	}
	if len(fit) == 0 {
		return refused, nil
	}
	if err := s.store.Record(ctx, fit); err != nil {
		return nil, fmt.Errorf("record %d request logs: %w", len(fit), err)
	}
	return refused, nil
}

// Get answers one entry, or a NotFound fault.
func (s *Service) Get(ctx context.Context, workspaceID string, id uuid.UUID) (Entry, error) {
	entry, found, err := s.store.Get(ctx, workspaceID, id)
	if err != nil {
		return Entry{}, fmt.Errorf("get a request log: %w", err)
	}
	from := s.window().From
	if !found || bytes.Compare(id[:], from[:]) < 0 {
		return Entry{}, fault.New(fault.RequestLogNotFound, "request log not found")
	}
	return entry, nil
}

// Ping tells whether the store can be read, by looking a row up that is not there.
func (s *Service) Ping(ctx context.Context) error {
	if _, _, err := s.store.Get(ctx, "ping", uuid7.First(s.config.Now())); err != nil {
		return fmt.Errorf("read the store of request logs: %w", err)
	}
	return nil
}

// Search is one page of a walk through a workspace's entries, newest first.
type Search struct {
	WorkspaceID string
	Filter      Filter
	// Start and End bound the time: Start <= time < End; a zero one does not.
	Start, End time.Time
	// Below is where this page begins, exclusive; the zero id is the newest.
	Below uuid.UUID
	// Limit is the most entries to answer, at least 1.
	Limit int
}

// List answers one page. More tells whether there is anything left to search below page.SearchedTo.
func (s *Service) List(ctx context.Context, search Search) (page Page, more bool, err error) {
	ids := s.window().clip(search)
	if ids.Empty() {
		return Page{SearchedTo: ids.From}, false, nil
	}
	page, err = s.store.List(ctx, Query{
		WorkspaceID: search.WorkspaceID, Filter: search.Filter, Range: ids, Limit: search.Limit,
		Budget: s.config.SearchBudget,
	})
	if err != nil {
		return Page{}, false, fmt.Errorf("list request logs: %w", err)
	}
	return page, page.SearchedTo != ids.From, nil
}

// clip is the ids of the window that a search is about.
func (w Window) clip(search Search) Range {
	ids := Range{From: w.From, To: uuid.Max}
	if start := uuid7.First(search.Start); !search.Start.IsZero() && bytes.Compare(start[:], ids.From[:]) > 0 {
		ids.From = start
	}
	if !search.End.IsZero() {
		ids.To = uuid7.First(search.End)
	}
	if search.Below != uuid.Nil && bytes.Compare(search.Below[:], ids.To[:]) < 0 {
		ids.To = search.Below
	}
	return ids
}

const (
	// purgeTime is how long one call of Purge works.
	purgeTime = 20 * time.Second
	// purgeMargin is how long before the deadline of its caller it stops, so that the answer still arrives.
	purgeMargin = time.Second
)

// Purge deletes the entries that a workspace has now, chunk by chunk, for a bounded time, and returns how many it has
// deleted, also with an error. Complete reports whether all of them are deleted; if not, another call goes on. Each call
// deletes one chunk at least.
func (s *Service) Purge(ctx context.Context, workspaceID string) (purged int64, complete bool, err error) {
	until := time.Now().Add(purgeTime)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-purgeMargin).Before(until) {
		until = deadline.Add(-purgeMargin)
	}
	newest, found, err := s.newest(ctx, workspaceID)
	if err != nil || !found {
		return 0, err == nil, err
	}
	for {
		n, err := s.store.Purge(ctx, workspaceID, newest)
		purged += n
		switch {
		case err != nil:
			return purged, false, fmt.Errorf("purge a workspace's request logs (%d are deleted): %w", purged, err)
		case n == 0:
			return purged, true, nil
		case !time.Now().Before(until):
			return purged, false, nil
		}
	}
}

// newest returns the highest id of a workspace. A purge up to it ends, although rows keep arriving.
func (s *Service) newest(ctx context.Context, workspaceID string) (id uuid.UUID, found bool, err error) {
	page, err := s.store.List(ctx, Query{WorkspaceID: workspaceID, Range: Range{To: uuid.Max}, Limit: 1})
	if err != nil {
		return uuid.Nil, false, fmt.Errorf("find the newest request log of a workspace: %w", err)
	}
	if len(page.Entries) == 0 {
		return uuid.Nil, false, nil
	}
	return page.Entries[0].ID, true, nil
}

// Expire erases what is older than the retention.
func (s *Service) Expire(ctx context.Context) error {
	if err := s.store.Expire(ctx, s.window().From); err != nil {
		return fmt.Errorf("expire old request logs: %w", err)
	}
	return nil
}

const (
	// expireEvery is how often old rows are erased; they are out of sight from the millisecond they are too old.
	expireEvery = 24 * time.Hour
	// expireAgain is when a failed attempt is repeated.
	expireAgain = time.Minute
)

// ExpireDaily calls Expire at once and then every day until ctx ends. Failures are handed to failed, and repeated.
func (s *Service) ExpireDaily(ctx context.Context, failed func(error)) {
	for {
		next := expireEvery
		if err := s.Expire(ctx); err != nil && ctx.Err() == nil {
			failed(err)
			next = expireAgain
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
