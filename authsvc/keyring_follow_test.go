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
	fx := newFixture(t)
	key, first := fx.create(t, nil)
	fx.expectCode(t, first, "")

	set := func(change func(*authsvc.Key)) {
		t.Helper()
		_, err := fx.keys.Update(t.Context(), "acme", key.ID, "", changing(change))
		must(t, err)
	}
	set(func(k *authsvc.Key) { k.Disabled = true })
	fx.expectCode(t, first, authsvc.Disabled)
	set(func(k *authsvc.Key) { k.Disabled, k.Scopes = false, []string{"data_agent"} })
	fx.expectCode(t, first, authsvc.ScopeDenied)
	set(func(k *authsvc.Key) { k.Scopes, k.ExpireTime = []string{"agent"}, fx.clock.now })
	fx.expectCode(t, first, authsvc.Expired)
	set(func(k *authsvc.Key) { k.ExpireTime = time.Time{} })
	fx.expectCode(t, first, "")

	_, second, err := fx.keys.Rotate(t.Context(), "acme", key.ID, time.Minute, uuid.Nil)
	must(t, err)
	fx.expectCode(t, first, "")
	fx.expectCode(t, second, "")
	fx.clock.move(time.Minute)
	fx.expectCode(t, first, authsvc.Expired)
	fx.expectCode(t, second, "")

	must(t, fx.keys.Delete(t.Context(), "acme", key.ID, ""))
	fx.expectCode(t, first, authsvc.InvalidToken)
	fx.expectCode(t, second, authsvc.InvalidToken)
}

func TestRefreshFollowsWhatOthersHaveChanged(t *testing.T) {
	fx := newFixture(t)
	other := authsvc.NewKeyring(fx.store, fx.clock.Now)
	checker := fx.checkerOn(t, other, fx.trail)
	expect := func(secret authsvc.PlainSecret, want authsvc.ErrorCode) {
		t.Helper()
		entry, err := entryOf(t, checker, secret.Reveal(), authsvc.Call{AgentType: "agent"})
		must(t, err)
		if entry.ErrorCode != want {
			t.Errorf("the other replica returned %q, want %q", entry.ErrorCode, want)
		}
	}
	key, secret := fx.create(t, nil)
	kept, keptSecret := fx.create(t, nil)
	expect(secret, authsvc.InvalidToken)
	must(t, other.Refresh(t.Context()))
	expect(secret, "")

	must(t, fx.keys.Delete(t.Context(), "acme", key.ID, ""))
	_, rotated, err := fx.keys.Rotate(t.Context(), "acme", kept.ID, 0, uuid.Nil)
	must(t, err)
	expect(secret, "")
	must(t, other.Refresh(t.Context()))
	expect(secret, authsvc.InvalidToken)
	expect(keptSecret, authsvc.Expired)
	expect(rotated, "")
}

func TestStalenessIsTheAgeOfTheLastRefreshThatWorked(t *testing.T) {
	fx := newFixture(t)
	store := &brokenStore{Store: fx.store, during: func() { fx.clock.move(time.Second) }}
	ring := authsvc.NewKeyring(store, fx.clock.Now)
	if age := ring.Stats().Staleness; age < 365*24*time.Hour {
		t.Errorf("a keyring that was never filled is %v stale", age)
	}
	// Staleness counts from the beginning of a refresh, which may miss what is committed while it reads.
	must(t, ring.Refresh(t.Context()))
	if age := ring.Stats().Staleness; age != time.Second {
		t.Errorf("right after a refresh that took a second, the keyring is %v stale", age)
	}
	store.broken.Store(true)
	fx.clock.move(time.Minute)
	if err := ring.Refresh(t.Context()); err == nil {
		t.Error("a refresh that could not read the store returned no error")
	}
	if age := ring.Stats().Staleness; age != time.Minute+time.Second {
		t.Errorf("after a refresh that failed, the keyring is %v stale", age)
	}
}

// breakingStore fails after some changes.
type breakingStore struct {
	authsvc.Store
	changes int
}

func (s *breakingStore) ChangesSince(ctx context.Context, since authsvc.Position, apply func(authsvc.Change) error) (authsvc.Position, bool, error) {
	applied := 0
	return s.Store.ChangesSince(ctx, since, func(c authsvc.Change) error {
		if applied++; applied > s.changes {
			return errors.New("connection lost")
		}
		return apply(c)
	})
}

func TestRefreshThatBreaksOffAppliesNothing(t *testing.T) {
	fx := newFixture(t)
	store := &breakingStore{Store: fx.store, changes: 1}
	ring := authsvc.NewKeyring(store, fx.clock.Now)
	checker := fx.checkerOn(t, ring, fx.trail)
	fx.create(t, nil)
	must(t, ring.Refresh(t.Context()))
	var secrets []authsvc.PlainSecret
	for range 3 {
		_, secret := fx.create(t, nil)
		secrets = append(secrets, secret)
	}
	for store.changes = 1; store.changes <= len(secrets); store.changes++ {
		complete := store.changes == len(secrets)
		if err := ring.Refresh(t.Context()); (err == nil) != complete {
			t.Errorf("a refresh that breaks off after %d changes: %v", store.changes, err)
		}
		for _, secret := range secrets {
			expectPasses(t, checker, secret, complete)
		}
	}
}

// A load that is repeated does not see the deletion of a key that an earlier attempt has read.
func TestLoadThatBreaksOffLeavesNothing(t *testing.T) {
	fx := newFixture(t)
	deleted, deletedSecret := fx.create(t, nil)
	_, secret := fx.create(t, nil)
	store := &breakingStore{Store: fx.store, changes: 1}
	ring := authsvc.NewKeyring(store, fx.clock.Now)
	if err := ring.Refresh(t.Context()); err == nil {
		t.Fatal("no error")
	}
	must(t, fx.keys.Delete(t.Context(), "acme", deleted.ID, ""))
	must(t, ring.Refresh(t.Context()))
	checker := fx.checkerOn(t, ring, fx.trail)
	expectPasses(t, checker, deletedSecret, false)
	expectPasses(t, checker, secret, true)
}

func expectPasses(t *testing.T, checker *authsvc.Checker, secret authsvc.PlainSecret, want bool) {
	t.Helper()
	entry, err := entryOf(t, checker, secret.Reveal(), authsvc.Call{AgentType: "agent"})
	must(t, err)
	if (entry.ErrorCode == "") != want {
		t.Errorf("the secret %v returned %q", secret, entry.ErrorCode)
	}
}

// brokenStore cannot be read while it is broken. It calls during in ChangesSince.
type brokenStore struct {
	authsvc.Store
	broken atomic.Bool
	during func()
}

func (s *brokenStore) Newest(ctx context.Context, since authsvc.Position) (authsvc.Position, bool, error) {
	if s.broken.Load() {
		return authsvc.Position{}, false, errors.New("away")
	}
	return s.Store.Newest(ctx, since)
}

func (s *brokenStore) ChangesSince(ctx context.Context, since authsvc.Position, apply func(authsvc.Change) error) (authsvc.Position, bool, error) {
	if s.broken.Load() {
		return authsvc.Position{}, false, errors.New("away")
	}
	if s.during != nil {
		s.during()
	}
	return s.Store.ChangesSince(ctx, since, apply)
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
			if ring.Stats().Staleness != staleness || failures.Load() != failed {
				t.Errorf("%s: %v stale after %d failures, want %v after %d", when, ring.Stats().Staleness, failures.Load(), staleness, failed)
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
