package authsvc_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/sqlite"
)

func TestChangesAreInForceWhenTheMethodReturns(t *testing.T) {
	w := newWorld(t)
	key, first := w.create(t, nil)
	w.expectCode(t, first, "")

	set := func(change func(*authsvc.Key)) {
		t.Helper()
		_, err := w.keys.Update(t.Context(), "acme", key.ID, "", changing(change))
		must(t, err)
	}
	set(func(k *authsvc.Key) { k.Disabled = true })
	w.expectCode(t, first, authsvc.Disabled)
	set(func(k *authsvc.Key) { k.Disabled, k.Scopes = false, []string{"data_agent"} })
	w.expectCode(t, first, authsvc.ScopeDenied)
	set(func(k *authsvc.Key) { k.Scopes, k.ExpireTime = []string{"agent"}, w.clock.now })
	w.expectCode(t, first, authsvc.Expired)
	set(func(k *authsvc.Key) { k.ExpireTime = time.Time{} })
	w.expectCode(t, first, "")

	_, second, err := w.keys.Rotate(t.Context(), "acme", key.ID, time.Minute, uuid.Nil)
	must(t, err)
	w.expectCode(t, first, "")
	w.expectCode(t, second, "")
	w.clock.move(time.Minute)
	w.expectCode(t, first, authsvc.Expired)
	w.expectCode(t, second, "")

	must(t, w.keys.Delete(t.Context(), "acme", key.ID, ""))
	w.expectCode(t, first, authsvc.InvalidToken)
	w.expectCode(t, second, authsvc.InvalidToken)
}

func TestRefreshFollowsWhatOthersHaveChanged(t *testing.T) {
	w := newWorld(t)
	other := authsvc.NewKeyring(w.store, w.clock.Now)
	checker := w.checkerOn(t, other, w.trail)
	expect := func(secret authsvc.PlainSecret, want authsvc.ErrorCode) {
		t.Helper()
		entry, err := entryOf(t, checker, secret.Reveal(), authsvc.Call{AgentType: "agent"})
		must(t, err)
		if entry.ErrorCode != want {
			t.Errorf("the other replica answers %q, want %q", entry.ErrorCode, want)
		}
	}
	key, secret := w.create(t, nil)
	kept, keptSecret := w.create(t, nil)
	expect(secret, authsvc.InvalidToken)
	must(t, other.Refresh(t.Context()))
	expect(secret, "")

	must(t, w.keys.Delete(t.Context(), "acme", key.ID, ""))
	_, rotated, err := w.keys.Rotate(t.Context(), "acme", kept.ID, 0, uuid.Nil)
	must(t, err)
	expect(secret, "")
	must(t, other.Refresh(t.Context()))
	expect(secret, authsvc.InvalidToken)
	expect(keptSecret, authsvc.Expired)
	expect(rotated, "")
}

func TestStalenessIsTheAgeOfTheLastRefreshThatWorked(t *testing.T) {
	w := newWorld(t)
	store := &brokenStore{Store: w.store, during: func() { w.clock.move(time.Second) }}
	ring := authsvc.NewKeyring(store, w.clock.Now)
	if age := ring.Staleness(); age < 365*24*time.Hour {
		t.Errorf("a keyring that was never filled is %v stale", age)
	}
	// A refresh counts from its beginning: what is committed while it reads may be missing.
	must(t, ring.Refresh(t.Context()))
	if age := ring.Staleness(); age != time.Second {
		t.Errorf("right after a refresh that took a second, the keyring is %v stale", age)
	}
	store.broken.Store(true)
	w.clock.move(time.Minute)
	if err := ring.Refresh(t.Context()); err == nil {
		t.Error("a refresh that could not read the store answers no error")
	}
	if age := ring.Staleness(); age != time.Minute+time.Second {
		t.Errorf("after a refresh that failed, the keyring is %v stale", age)
	}
}

// breakingStore breaks off after some changes.
type breakingStore struct {
	authsvc.Store
	changes int
}

func (s *breakingStore) Changes(ctx context.Context, since authsvc.Revision, apply func(authsvc.Change) error) error {
	told := 0
	return s.Store.Changes(ctx, since, func(c authsvc.Change) error {
		if told++; told > s.changes {
			return errors.New("broken off")
		}
		return apply(c)
	})
}

func TestRefreshGoesOnWhereItWasBrokenOff(t *testing.T) {
	w := newWorld(t)
	var secrets []authsvc.PlainSecret
	for range 3 {
		_, secret := w.create(t, nil)
		secrets = append(secrets, secret)
	}
	ring := authsvc.NewKeyring(&breakingStore{Store: w.store, changes: 1}, w.clock.Now)
	checker := w.checkerOn(t, ring, w.trail)
	for refreshed := range secrets {
		if err := ring.Refresh(t.Context()); (err != nil) != (refreshed < len(secrets)-1) {
			t.Errorf("refresh %d: %v", refreshed, err)
		}
		for i, secret := range secrets {
			entry, err := entryOf(t, checker, secret.Reveal(), authsvc.Call{AgentType: "agent"})
			must(t, err)
			if (entry.ErrorCode == "") != (i <= refreshed) {
				t.Errorf("after refresh %d, key %d is answered with %q", refreshed, i, entry.ErrorCode)
			}
		}
	}
}

// brokenStore fails to tell changes while it is broken, and lets something happen while it tells them.
type brokenStore struct {
	authsvc.Store
	broken atomic.Bool
	during func()
}

func (s *brokenStore) Changes(ctx context.Context, since authsvc.Revision, apply func(authsvc.Change) error) error {
	if s.broken.Load() {
		return errors.New("away")
	}
	if s.during != nil {
		s.during()
	}
	return s.Store.Changes(ctx, since, apply)
}

func TestFollowRefreshesOnTimeOnWakeAndAfterFailures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	synctest.Test(t, func(t *testing.T) {
		real, err := sqlite.Open(t.Context(), path)
		must(t, err)
		defer real.Close()
		store := &brokenStore{Store: real}
		ring := authsvc.NewKeyring(store, time.Now)
		wake := make(chan struct{})
		var failures atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			ring.Follow(ctx, time.Second, wake, func(error) { failures.Add(1) })
		}()
		expect := func(when string, staleness time.Duration, failed int32) {
			t.Helper()
			synctest.Wait()
			if ring.Staleness() != staleness || failures.Load() != failed {
				t.Errorf("%s: %v stale after %d failures, want %v after %d", when, ring.Staleness(), failures.Load(), staleness, failed)
			}
		}
		pass := func(d time.Duration) { <-time.After(d) }

		pass(time.Second)
		expect("after a second", 0, 0)
		pass(500 * time.Millisecond)
		expect("between two turns", 500*time.Millisecond, 0)
		wake <- struct{}{}
		expect("woken", 0, 0)
		store.broken.Store(true)
		pass(1500 * time.Millisecond)
		expect("with the store away", 1500*time.Millisecond, 2)
		store.broken.Store(false)
		pass(time.Second)
		expect("with the store back", 0, 2)
		cancel()
		<-ended
	})
}
