package logsvc_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/logsvc"
)

// slowStore has no rows, and takes its time for each view.
type slowStore struct {
	logsvc.Store
	takes  time.Duration
	views  atomic.Int64
	atOnce atomic.Int64
	most   atomic.Int64
}

func (s *slowStore) View(_ context.Context, query logsvc.ViewQuery) (logsvc.View, error) {
	s.views.Add(1)
	s.most.Store(max(s.most.Load(), s.atOnce.Add(1)))
	defer s.atOnce.Add(-1)
	<-time.After(s.takes)
	return logsvc.View{RowsFrom: query.Range.From, BlocksFrom: query.Range.From}, nil
}

// TestExportsWaitAndLetListsThrough: however many exports there are, they all end, and a list waits for few of them.
func TestExportsWaitAndLetListsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{takes: 200 * time.Millisecond}
		service := logsvc.NewService(store, config(func() time.Time { return noon }))
		const exports = 200
		ended := make(chan error, exports)
		for range exports {
			go func() {
				ended <- service.Export(t.Context(), logsvc.Query{WorkspaceID: "acme", Range: all, Limit: 10},
					func(logsvc.Page, bool) error { return nil })
			}()
		}
		synctest.Wait()
		for range 10 {
			if _, _, err := service.List(t.Context(), logsvc.Query{WorkspaceID: "acme", Range: all, Limit: 10}); err != nil {
				t.Errorf("a list beside %d exports: %v", exports, err)
			}
		}
		for range exports {
			must(t, <-ended)
		}
		if got := store.views.Load(); got != exports+10 || store.most.Load() > 2 {
			t.Errorf("%d searches, %d at a time", got, store.most.Load())
		}
	})
}

// TestExportsThatAreNotReadTakeLittleMemory: each has a page.
func TestExportsThatAreNotReadTakeLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := logsvc.NewService(&slowStore{}, config(func() time.Time { return noon }))
		var begun atomic.Int64
		read, ended := make(chan struct{}), make(chan error, 100)
		for range cap(ended) {
			go func() {
				query := logsvc.Query{WorkspaceID: "acme", Range: all, Limit: 10}
				ended <- service.Export(t.Context(), query, func(logsvc.Page, bool) error {
					begun.Add(1)
					<-read
					return nil
				})
			}()
		}
		<-time.After(time.Minute)
		if got := begun.Load(); got != 20 {
			t.Errorf("%d of 100 exports have begun", got)
		}
		close(read)
		for range cap(ended) {
			must(t, <-ended)
		}
	})
}

func TestExportEndsWithTheFirstError(t *testing.T) {
	service, _ := newService(t)
	for i := range 5 {
		record(t, service, entryAt(noon.Add(-time.Duration(i)*time.Minute)))
	}
	query := logsvc.Query{WorkspaceID: "acme", Range: all, Limit: 2}
	broken, pages := errors.New("broken"), 0
	err := service.Export(t.Context(), query, func(logsvc.Page, bool) error { pages++; return broken })
	if err != broken || pages != 1 {
		t.Errorf("after %d pages: %v", pages, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = service.Export(ctx, query, func(logsvc.Page, bool) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled export: %v", err)
	}
	var ids []uuid.UUID
	must(t, service.Export(t.Context(), query, func(page logsvc.Page, more bool) error {
		for _, e := range page.Entries {
			ids = append(ids, e.ID)
		}
		if more != (len(ids) < 5) {
			t.Errorf("after %d rows there is more: %t", len(ids), more)
		}
		return nil
	}))
	if want := list(t, service); !slices.Equal(ids, want) {
		t.Errorf("exported %v, want %v", ids, want)
	}
}
