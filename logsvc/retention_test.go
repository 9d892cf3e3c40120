package logsvc_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/sqlite"
)

func TestRowIsVisibleUntilTheMillisecondItIsThirtyDaysOld(t *testing.T) {
	service, clock := newService(t)
	// Within its millisecond, every row has the age of that millisecond.
	first := entryAt(noon)
	first.ID = uuid7.First(noon)
	last := entryAt(noon.Add(time.Millisecond - 1))
	next := entryAt(noon.Add(time.Millisecond))
	record(t, service, first, last, next)
	end := noon.Add(30 * 24 * time.Hour)
	for _, tt := range []struct {
		name string
		now  time.Time
		want []uuid.UUID
	}{
		{"at once", noon, []uuid.UUID{next.ID, last.ID, first.ID}},
		{"a millisecond before", end.Add(-time.Millisecond), []uuid.UUID{next.ID, last.ID, first.ID}},
		{"a nanosecond before", end.Add(-1), []uuid.UUID{next.ID, last.ID, first.ID}},
		{"at 30 days", end, []uuid.UUID{next.ID}},
		{"within that millisecond", end.Add(time.Millisecond - 1), []uuid.UUID{next.ID}},
		{"a millisecond later", end.Add(time.Millisecond), nil},
		{"a year later", end.Add(365 * 24 * time.Hour), nil},
	} {
		clock.set(tt.now)
		if got := list(t, service); !slices.Equal(got, tt.want) {
			t.Errorf("%s, the list holds %v, want %v", tt.name, got, tt.want)
		}
		for _, id := range []uuid.UUID{first.ID, last.ID, next.ID} {
			_, err := service.Get(t.Context(), "acme", id)
			if slices.Contains(tt.want, id) != (err == nil) || err != nil && fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s, Get(%v) returns %v", tt.name, id, err)
			}
		}
	}
}

func TestExpireDeletesRowsOutsideTheWindowOnly(t *testing.T) {
	service, clock := newService(t)
	old, young := entryAt(noon), entryAt(noon.Add(time.Millisecond))
	record(t, service, old, young)
	clock.set(noon.Add(30 * 24 * time.Hour))
	must(t, service.Expire(t.Context()))
	// With the clock set back, every row that still exists is visible.
	clock.set(noon)
	if got := list(t, service); !slices.Equal(got, []uuid.UUID{young.ID}) {
		t.Errorf("after the expiry the list holds %v, want only %v", got, young.ID)
	}
}

func TestRetentionIsConfigurable(t *testing.T) {
	clock := &clock{now: noon}
	service := logsvc.NewService(openStore(t), logsvc.Config{Retention: time.Hour, Now: clock.Now})
	row := entryAt(noon)
	record(t, service, row)
	clock.set(noon.Add(time.Hour - time.Millisecond))
	if got := list(t, service); len(got) != 1 {
		t.Errorf("a millisecond before the hour is over: %v", got)
	}
	clock.set(noon.Add(time.Hour))
	if got := list(t, service); len(got) != 0 {
		t.Errorf("when the hour is over: %v", got)
	}
}

// countingStore counts the calls of Expire and those of Backlog, with which a pass of the sealer begins. They fail while it is
// broken.
type countingStore struct {
	logsvc.Store
	expiries, passes atomic.Int32
	broken           atomic.Bool
}

func (s *countingStore) Backlog(ctx context.Context, before uuid.UUID, minRows int) ([]logsvc.Backlog, error) {
	s.passes.Add(1)
	if s.broken.Load() {
		return nil, errors.New("disk full")
	}
	return s.Store.Backlog(ctx, before, minRows)
}

func (s *countingStore) Expire(ctx context.Context, before uuid.UUID, maxDays int) (int, error) {
	s.expiries.Add(1)
	if s.broken.Load() {
		return 0, errors.New("disk full")
	}
	return s.Store.Expire(ctx, before, maxDays)
}

func TestRowsAreSealedAtTheStartAndEveryFewMinutes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs.db")
	synctest.Test(t, func(t *testing.T) {
		real, err := sqlite.Open(t.Context(), path)
		must(t, err)
		defer real.Close()
		store, failures := &countingStore{Store: real}, atomic.Int32{}
		service := logsvc.NewService(store, config(time.Now))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			service.SealPeriodically(ctx, func(error) { failures.Add(1) })
		}()
		began := time.Now()
		expect := func(after time.Duration, passes, failed int32, sealed time.Time) {
			t.Helper()
			<-time.After(time.Until(began.Add(after)))
			synctest.Wait()
			if store.passes.Load() != passes || failures.Load() != failed || service.Sealed() != sealed.Unix() {
				t.Errorf("after %v: %d passes, %d failures, the last at %d, want %d, %d and %d", after, store.passes.Load(),
					failures.Load(), service.Sealed(), passes, failed, sealed.Unix())
			}
		}
		expect(0, 1, 0, began)
		expect(5*time.Minute-1, 1, 0, began)
		expect(5*time.Minute, 2, 0, began.Add(5*time.Minute))
		store.broken.Store(true)
		expect(10*time.Minute, 3, 1, began.Add(5*time.Minute))
		store.broken.Store(false)
		expect(11*time.Minute, 4, 1, began.Add(11*time.Minute))
		expect(16*time.Minute, 5, 1, began.Add(16*time.Minute))
		cancel()
		<-ended
	})
}

func TestOldRowsAreDeletedAtTheStartAndEveryDay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs.db")
	synctest.Test(t, func(t *testing.T) {
		real, err := sqlite.Open(t.Context(), path)
		must(t, err)
		defer real.Close()
		store, failures := &countingStore{Store: real}, atomic.Int32{}
		service := logsvc.NewService(store, config(time.Now))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			service.ExpireDaily(ctx, func(error) { failures.Add(1) })
		}()
		expect := func(when string, expiries, failed int32) {
			t.Helper()
			synctest.Wait()
			if store.expiries.Load() != expiries || failures.Load() != failed {
				t.Errorf("%s: %d expiries and %d failures, want %d and %d", when, store.expiries.Load(), failures.Load(), expiries, failed)
			}
		}
		expect("at the start", 1, 0)
		<-time.After(24*time.Hour - 1)
		expect("before the day is over", 1, 0)
		store.broken.Store(true)
		<-time.After(1)
		expect("after a day", 2, 1)
		store.broken.Store(false)
		<-time.After(24 * time.Hour)
		expect("after a day with a failure", 3, 1)
		cancel()
		<-ended
	})
}
