package logsvc_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/logsvc"
)

const month = 30 * 24 * time.Hour

// apart is a service on SQLite whose store's clock differs from that of the machine.
type apart struct {
	*logsvc.Service
	local, store *clock
	// broken is returned instead of the time of the store.
	broken error
}

func newApart(t *testing.T) *apart {
	t.Helper()
	a := &apart{local: &clock{now: noon}, store: &clock{now: noon}}
	c := config(a.local.Now)
	c.ReadTime = func(context.Context, time.Time) (time.Time, error) { return a.store.Now(), a.broken }
	a.Service = logsvc.NewService(openStore(t), c)
	must(t, a.UpdateClock(t.Context()))
	return a
}

func TestWindowFollowsTheStoresClock(t *testing.T) {
	service := newApart(t)
	row := entryAt(noon)
	record(t, service.Service, row)
	service.local.set(noon.Add(month + time.Hour))
	must(t, service.UpdateClock(t.Context()))
	if got := list(t, service.Service); !slices.Equal(got, []uuid.UUID{row.ID}) {
		t.Errorf("by a clock that is a month ahead, the list holds %v", got)
	}
	// In between, the store's clock runs on with that of the machine.
	service.local.set(noon.Add(2*month + time.Hour))
	if got := list(t, service.Service); len(got) != 0 {
		t.Errorf("a month after the reading, the list holds %v", got)
	}
	service.store.set(noon.Add(month))
	must(t, service.UpdateClock(t.Context()))
	if got := service.Now(); !got.Equal(noon.Add(month)) {
		t.Errorf("the time is %v", got)
	}
}

func TestNothingExpiresWhileTheClocksAreApart(t *testing.T) {
	for ahead, agree := range map[time.Duration]bool{
		time.Minute: true, -time.Minute: true, time.Minute + 1: false, -time.Minute - 1: false, 31 * 24 * time.Hour: false,
	} {
		service := newApart(t)
		old := entryAt(noon.Add(-month + time.Millisecond))
		record(t, service.Service, old)
		service.store.set(noon.Add(time.Hour))
		service.local.set(noon.Add(time.Hour + ahead))
		if err := service.Expire(t.Context()); (err == nil) != agree {
			t.Errorf("%v ahead, Expire returns %v", ahead, err)
		}
		err := service.CheckClock(t.Context())
		if (err == nil) != agree {
			t.Errorf("%v ahead, CheckClock returns %v", ahead, err)
		}
		if agree {
			continue
		}
		for _, at := range []time.Time{service.local.Now(), service.store.Now()} {
			if !strings.Contains(err.Error(), at.Format(time.RFC3339)) {
				t.Errorf("%v is not in %q", at, err)
			}
		}
		service.store.set(noon)
		service.local.set(noon)
		must(t, service.UpdateClock(t.Context()))
		if got := list(t, service.Service); !slices.Equal(got, []uuid.UUID{old.ID}) {
			t.Errorf("%v ahead, the row was deleted", ahead)
		}
	}
}

func TestNothingExpiresWhileTheStoresClockCannotBeRead(t *testing.T) {
	service := newApart(t)
	service.broken = errors.New("connection refused")
	if err := service.Expire(t.Context()); !errors.Is(err, service.broken) {
		t.Errorf("Expire returns %v", err)
	}
	must(t, service.CheckClock(t.Context()))
}

func TestRowIsRejectedForItsTimeOnlyIfBothClocksAgree(t *testing.T) {
	now := noon.Add(10 * month)
	for _, tt := range []struct {
		name         string
		local, store time.Time
		row          time.Time
		want         string
	}{
		{"both clocks: too old", now, now, now.Add(-month), "too_old"},
		{"both clocks: too new", now, now, now.Add(24 * time.Hour), "too_new"},
		{"too old by different clocks", now.Add(month), now, now.Add(-month), "too_old"},
		{"too old by the store's clock alone", now, now.Add(month), now, "unavailable"},
		{"too new by the store's clock alone", now, now.Add(-month), now, "unavailable"},
		{"too old by the other clock alone", now.Add(month), now, now, "stored"},
		{"too new by the other clock alone", now.Add(-month), now, now, "stored"},
		{"too old by a second of difference", now, now.Add(time.Second), now.Add(time.Second - month), "unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			service := newApart(t)
			service.local.set(tt.local)
			service.store.set(tt.store)
			must(t, service.UpdateClock(t.Context()))
			rejected, err := service.Record(t.Context(), []logsvc.Entry{entryAt(tt.row)})
			got := "stored"
			switch {
			case fault.KindOf(err) == fault.Unavailable:
				got = "unavailable"
			case err != nil:
				got = "failed"
			case len(rejected) > 0:
				got = rejected[0].Reason.String()
			}
			if got != tt.want {
				t.Errorf("the row is %s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

// TestClockIsReadBeforeARowIsRejected has a machine whose clock jumps between two readings.
func TestClockIsReadBeforeARowIsRejected(t *testing.T) {
	service := newApart(t)
	service.local.set(noon.Add(2 * month))
	record(t, service.Service, entryAt(noon))
}

func TestMoreThanTwoDaysAreDeletedOnlyWhenTheirNumberIsConfirmed(t *testing.T) {
	service, clock := newService(t)
	var rows []uuid.UUID
	for n := range 5 {
		e := entryAt(noon.AddDate(0, 0, n))
		clock.set(e.Time())
		record(t, service, e)
		rows = append([]uuid.UUID{e.ID}, rows...)
	}
	at := func(days int, want []uuid.UUID) {
		t.Helper()
		clock.set(noon.AddDate(0, 0, 4))
		if got := list(t, service); !slices.Equal(got, want) {
			t.Errorf("%d of 5 rows are left", len(got))
		}
		clock.set(noon.Add(month).AddDate(0, 0, days))
	}
	at(3, rows) // 3 days have ended
	err := service.Expire(t.Context())
	if err == nil || !strings.Contains(err.Error(), "--confirm-days=3") || service.Unconfirmed() != 3 {
		t.Errorf("Expire returns %v, and %d days wait", err, service.Unconfirmed())
	}
	if got := list(t, service); len(got) != 1 {
		t.Errorf("%d rows are shown, want the youngest", len(got))
	}
	for _, wrong := range []int{1, 2, 4} {
		if err := service.ExpireConfirmed(t.Context(), wrong); err == nil {
			t.Errorf("%d days were confirmed", wrong)
		}
	}
	at(3, rows)
	must(t, service.ExpireConfirmed(t.Context(), 3))
	at(5, rows[:1]) // the row of noon is as old as the retention
	must(t, service.Expire(t.Context()))
	if service.Unconfirmed() != 0 {
		t.Errorf("%d days wait", service.Unconfirmed())
	}
	at(5, []uuid.UUID{})
}

// hangingStore is a store in which a part of each expiry fails.
type hangingStore struct{ logsvc.Store }

var errHangs = errors.New("a detach hangs")

func (s hangingStore) Expire(ctx context.Context, before uuid.UUID, maxDays int) (int, error) {
	days, err := s.Store.Expire(ctx, before, maxDays)
	return days, errors.Join(err, errHangs)
}

func TestDaysAreCountedAndConfirmedWhileAPartOfTheExpiryFails(t *testing.T) {
	clock := &clock{now: noon}
	service := logsvc.NewService(hangingStore{openStore(t)}, config(clock.Now))
	for n := range 5 {
		clock.set(noon.AddDate(0, 0, n))
		record(t, service, entryAt(clock.Now()))
	}
	clock.set(noon.Add(month).AddDate(0, 0, 3))
	err := service.Expire(t.Context())
	if !errors.Is(err, errHangs) || !strings.Contains(err.Error(), "--confirm-days=3") || service.Unconfirmed() != 3 {
		t.Errorf("Expire returns %v, and %d days wait", err, service.Unconfirmed())
	}
	err = service.ExpireConfirmed(t.Context(), 2)
	if !errors.Is(err, errHangs) || !strings.Contains(err.Error(), "not 2") {
		t.Errorf("with a wrong number ExpireConfirmed returns %v", err)
	}
	if err := service.ExpireConfirmed(t.Context(), 3); !errors.Is(err, errHangs) || strings.Contains(err.Error(), "nothing") {
		t.Errorf("with the right number ExpireConfirmed returns %v", err)
	}
	clock.set(noon.AddDate(0, 0, 4))
	if got := list(t, service); len(got) != 1 {
		t.Errorf("%d rows are left, want the youngest", len(got))
	}
}

// TestClockThatJumpsAheadDeletesNothing has a store with two days alone.
func TestClockThatJumpsAheadDeletesNothing(t *testing.T) {
	service, clock := newService(t)
	must(t, service.Expire(t.Context()))
	first, second := entryAt(noon), entryAt(noon.AddDate(0, 0, 1))
	clock.set(second.Time())
	record(t, service, first, second)
	for _, days := range []int{31, 32, 100} {
		clock.set(noon.AddDate(0, 0, 1+days))
		if err := service.Expire(t.Context()); err == nil || service.Unconfirmed() == 0 {
			t.Errorf("%d days ahead, Expire returns %v, and %d days wait", days, err, service.Unconfirmed())
		}
	}
	clock.set(noon.AddDate(0, 0, 1))
	must(t, service.Expire(t.Context()))
	if got := list(t, service); !slices.Equal(got, []uuid.UUID{second.ID, first.ID}) || service.Unconfirmed() != 0 {
		t.Errorf("with the right clock the list holds %v, and %d days wait", got, service.Unconfirmed())
	}
	for days := range 33 { // day by day
		clock.set(noon.AddDate(0, 0, days))
		must(t, service.Expire(t.Context()))
	}
	clock.set(noon)
	if got := list(t, service); len(got) != 0 {
		t.Errorf("when both days have expired, the list holds %v", got)
	}
}
