package logsvc_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// purgingStore is a store of recent rows whose PurgeRecent returns the numbers of chunks, each after a delay, and then fails. Ten
// rows are a full chunk.
type purgingStore struct {
	logsvc.Store
	newest uuid.UUID
	chunks []int64
	each   time.Duration
	calls  int
	upTo   uuid.UUID
}

func (s *purgingStore) View(_ context.Context, query logsvc.ViewQuery) (logsvc.View, error) {
	view := logsvc.View{RowsFrom: query.Range.From, BlocksFrom: query.Range.From}
	if s.newest != uuid.Nil {
		view.Rows = []logsvc.Entry{{ID: s.newest, WorkspaceID: query.WorkspaceID}}
	}
	return view, nil
}

func (s *purgingStore) TryLock(ctx context.Context, _ string, do func(context.Context) error) (bool, error) {
	return true, do(ctx)
}

func (s *purgingStore) PurgeRecent(_ context.Context, workspaceID string, upTo uuid.UUID) (purged int64, more bool, err error) {
	<-time.After(s.each)
	s.calls++
	s.upTo = upTo
	if workspaceID != "acme" || len(s.chunks) == 0 {
		return 0, true, errors.New("disk full")
	}
	n := s.chunks[0]
	s.chunks = s.chunks[1:]
	return n, n == 10, nil
}

func purging(chunks ...int64) *purgingStore {
	return &purgingStore{newest: uuid7.New(noon.Add(-time.Hour)), chunks: chunks}
}

func TestPurgeDeletesAllRowsThatExistAtItsStart(t *testing.T) {
	store := purging(10, 10, 3, 1, 1, 1)
	purged, err := logsvc.NewService(store, config(time.Now)).Purge(t.Context(), "acme", time.Time{})
	if err != nil || purged.Rows != 23 || !purged.Complete || store.calls != 3 {
		t.Errorf("purged %+v with %d chunks, %v; want 23 with 3: rows that arrive meanwhile are not purged", purged, store.calls, err)
	}
	if store.upTo != store.newest {
		t.Errorf("purged up to %v, want the newest row %v: it would not end while rows arrive", store.upTo, store.newest)
	}
}

func TestPurgeOfAWorkspaceWithoutRowsIsComplete(t *testing.T) {
	store := &purgingStore{}
	purged, err := logsvc.NewService(store, config(time.Now)).Purge(t.Context(), "acme", time.Time{})
	if err != nil || purged != (logsvc.Purged{Complete: true}) || store.calls != 0 {
		t.Errorf("purged %+v with %d chunks, %v; want nothing", purged, store.calls, err)
	}
}

func TestPurgeIsLimitedInTime(t *testing.T) {
	for name, tt := range map[string]struct{ deadline, each, want time.Duration }{
		"no deadline":           {0, 300 * time.Millisecond, 20100 * time.Millisecond},
		"a deadline far away":   {time.Minute, 300 * time.Millisecond, 20100 * time.Millisecond},
		"a deadline before":     {5 * time.Second, 300 * time.Millisecond, 4200 * time.Millisecond},
		"a deadline very near":  {500 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond},
		"a chunk that is slow":  {0, 25 * time.Second, 25 * time.Second},
		"ends with the last ms": {0, time.Second, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := purging(make([]int64, 100)...)
				for i := range store.chunks {
					store.chunks[i] = 10
				}
				store.each = tt.each
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tt.deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
				}
				defer cancel()
				began := time.Now()
				purged, err := logsvc.NewService(store, config(time.Now)).Purge(ctx, "acme", time.Time{})
				if took := time.Since(began); took != tt.want {
					t.Errorf("it took %v, want %v", took, tt.want)
				}
				if err != nil || purged.Complete || purged.Rows != int64(store.calls)*10 {
					t.Errorf("purged %+v with %d chunks, %v; want all of them, and more to do", purged, store.calls, err)
				}
			})
		})
	}
}

// lockedStore is a store whose workspaces another one locks after a number of chunks.
type lockedStore struct {
	*purgingStore
	free int
}

func (s *lockedStore) TryLock(ctx context.Context, workspaceID string, do func(context.Context) error) (bool, error) {
	if s.calls == s.free {
		return false, nil
	}
	return s.purgingStore.TryLock(ctx, workspaceID, do)
}

func TestPurgeOfALockedWorkspaceGivesUp(t *testing.T) {
	for _, chunks := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			store := &lockedStore{purging(10, 10, 10), chunks}
			began := time.Now()
			purged, err := logsvc.NewService(store, config(time.Now)).Purge(t.Context(), "acme", time.Time{})
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("it took %v, want 10 s", took)
			}
			if err != nil || purged.Complete || purged.Rows != int64(10*chunks) {
				t.Errorf("purged %+v with %d chunks, %v; want more to do", purged, store.calls, err)
			}
			sealer := logsvc.NewSealer(store, logsvc.SealConfig{Now: time.Now})
			if purged, _, err := sealer.Purge(t.Context(), "acme", store.newest, began); err == nil || purged != 0 {
				t.Errorf("the sealer purged %d rows, %v; want an error, because there are more", purged, err)
			}
		})
	}
}

// TestPurgeOfAWorkspaceThatIsLockedLateEndsInTime has a chunk that begins shortly before the end.
func TestPurgeOfAWorkspaceThatIsLockedLateEndsInTime(t *testing.T) {
	for name, tt := range map[string]struct{ deadline, each, want time.Duration }{
		"with a deadline": {5 * time.Second, 1900 * time.Millisecond, 4 * time.Second},
		"without one":     {time.Hour, 9900 * time.Millisecond, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &lockedStore{purging(10, 10, 10), 2}
				store.each = tt.each
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				began := time.Now()
				purged, err := logsvc.NewService(store, config(time.Now)).Purge(ctx, "acme", time.Time{})
				if took := time.Since(began); took != tt.want {
					t.Errorf("it took %v, want %v", took, tt.want)
				}
				if err != nil || purged.Complete || purged.Rows != 20 {
					t.Errorf("purged %+v, %v; want 20, and more to do", purged, err)
				}
			})
		})
	}
}

func TestFailedPurgeReturnsHowMuchIsDeleted(t *testing.T) {
	purged, err := logsvc.NewService(purging(10, 10), config(time.Now)).Purge(t.Context(), "acme", time.Time{})
	if purged.Rows != 20 || purged.Complete || err == nil || !strings.Contains(err.Error(), "20 are deleted") {
		t.Errorf("purged %+v, error %v; want 20, and an error that says so", purged, err)
	}
}

func TestPurgeDeletesAllOfOneWorkspace(t *testing.T) {
	service, _ := newService(t)
	other := entryAt(noon)
	other.WorkspaceID = "globex"
	record(t, service, other, entryAt(noon.Add(-29*24*time.Hour)), entryAt(noon.Add(-24*time.Hour)))
	must(t, service.Seal(t.Context())) // the days that have ended
	record(t, service, entryAt(noon), entryAt(noon.Add(23*time.Hour)))
	if purged, err := service.Purge(t.Context(), "acme", time.Time{}); err != nil || purged.Rows != 4 || !purged.Complete {
		t.Errorf("purged %+v, %v; want 4", purged, err)
	}
	if service.Purged() != 4 {
		t.Errorf("since the start it has purged %d", service.Purged())
	}
	if got := list(t, service); len(got) != 0 {
		t.Errorf("acme still has %v", got)
	}
	if _, err := service.Get(t.Context(), "globex", other.ID); err != nil {
		t.Errorf("the row of globex: %v", err)
	}
}

func TestContinuedPurgeLeavesRowsThatHaveArrivedSinceItBegan(t *testing.T) {
	service, _ := newService(t)
	yesterday := noon.Add(-24 * time.Hour)
	record(t, service, entryAt(yesterday.Add(-time.Hour)), entryAt(yesterday))
	must(t, service.Seal(t.Context()))
	near, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // for one chunk
	defer cancel()
	first, err := service.Purge(near, "acme", time.Time{})
	if want := (logsvc.Purged{Rows: 2, End: yesterday.Add(time.Millisecond)}); err != nil || first != want {
		t.Fatalf("the first call: %+v, %v, want %+v", first, err, want)
	}
	arrived := entryAt(yesterday.Add(time.Millisecond))
	record(t, service, arrived)
	next, err := service.Purge(t.Context(), "acme", first.End)
	if want := (logsvc.Purged{Complete: true, End: first.End}); err != nil || next != want {
		t.Errorf("the next call: %+v, %v, want %+v", next, err, want)
	}
	if got := list(t, service); !slices.Equal(got, []uuid.UUID{arrived.ID}) {
		t.Errorf("the list holds %v, want the row that has arrived", got)
	}
}

func TestPurgeUpToATimeDeletesNothingLater(t *testing.T) {
	service, _ := newService(t)
	before, at := entryAt(noon.Add(-time.Millisecond)), entryAt(noon)
	record(t, service, before, at)
	purged, err := service.Purge(t.Context(), "acme", noon)
	if want := (logsvc.Purged{Rows: 1, Complete: true, End: noon}); err != nil || purged != want {
		t.Errorf("purged %+v, %v, want %+v", purged, err, want)
	}
	if got := list(t, service); !slices.Equal(got, []uuid.UUID{at.ID}) {
		t.Errorf("the list holds %v", got)
	}
}
