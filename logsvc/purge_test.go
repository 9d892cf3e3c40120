package logsvc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// purgingStore is a store of recent rows whose PurgeRecent returns the numbers of chunks, each after a delay, and then fails.
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

func (s *purgingStore) PurgeRecent(_ context.Context, workspaceID string, upTo uuid.UUID) (int64, error) {
	<-time.After(s.each)
	s.calls++
	s.upTo = upTo
	if workspaceID != "acme" || len(s.chunks) == 0 {
		return 0, errors.New("disk full")
	}
	n := s.chunks[0]
	s.chunks = s.chunks[1:]
	return n, nil
}

func purging(chunks ...int64) *purgingStore {
	return &purgingStore{newest: uuid7.New(noon.Add(-time.Hour)), chunks: chunks}
}

func TestPurgeDeletesAllRowsThatExistAtItsStart(t *testing.T) {
	store := purging(10, 10, 3, 0, 7)
	purged, complete, err := logsvc.NewService(store, config(time.Now)).Purge(t.Context(), "acme")
	if err != nil || purged != 23 || !complete || store.calls != 4 {
		t.Errorf("purged %d rows with %d chunks, complete %t, %v; want 23 with 4", purged, store.calls, complete, err)
	}
	if store.upTo != store.newest {
		t.Errorf("purged up to %v, want the newest row %v: it would not end while rows arrive", store.upTo, store.newest)
	}
}

func TestPurgeOfAWorkspaceWithoutRowsIsComplete(t *testing.T) {
	store := &purgingStore{}
	purged, complete, err := logsvc.NewService(store, config(time.Now)).Purge(t.Context(), "acme")
	if err != nil || purged != 0 || !complete || store.calls != 0 {
		t.Errorf("purged %d rows with %d chunks, complete %t, %v; want nothing", purged, store.calls, complete, err)
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
				purged, complete, err := logsvc.NewService(store, config(time.Now)).Purge(ctx, "acme")
				if took := time.Since(began); took != tt.want {
					t.Errorf("it took %v, want %v", took, tt.want)
				}
				if err != nil || complete || purged != int64(store.calls)*10 {
					t.Errorf("purged %d rows with %d chunks, complete %t, %v; want all of them, and more to do", purged, store.calls, complete, err)
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
			purged, complete, err := logsvc.NewService(store, config(time.Now)).Purge(t.Context(), "acme")
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("it took %v, want 10 s", took)
			}
			if err != nil || complete || purged != int64(10*chunks) {
				t.Errorf("purged %d rows with %d chunks, complete %t, %v; want more to do", purged, store.calls, complete, err)
			}
			sealer := logsvc.NewSealer(store, logsvc.SealConfig{Now: time.Now})
			if purged, err := sealer.Purge(t.Context(), "acme", store.newest); err == nil || purged != 0 {
				t.Errorf("the sealer purged %d rows, %v; want an error, because there are more", purged, err)
			}
		})
	}
}

func TestFailedPurgeReturnsHowMuchIsDeleted(t *testing.T) {
	purged, complete, err := logsvc.NewService(purging(10, 10), config(time.Now)).Purge(t.Context(), "acme")
	if purged != 20 || complete || err == nil || !strings.Contains(err.Error(), "20 are deleted") {
		t.Errorf("purged %d, complete %t, error %v; want 20, and an error that says so", purged, complete, err)
	}
}

func TestPurgeDeletesAllOfOneWorkspace(t *testing.T) {
	service, _ := newService(t)
	other := entryAt(noon)
	other.WorkspaceID = "globex"
	record(t, service, other, entryAt(noon.Add(-29*24*time.Hour)), entryAt(noon.Add(-24*time.Hour)))
	must(t, service.Seal(t.Context())) // the days that have ended
	record(t, service, entryAt(noon), entryAt(noon.Add(23*time.Hour)))
	if purged, complete, err := service.Purge(t.Context(), "acme"); err != nil || purged != 4 || !complete {
		t.Errorf("purged %d rows, complete %t, %v; want 4", purged, complete, err)
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
