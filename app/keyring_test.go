package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

// lateStore can be reached from the third attempt on.
type lateStore struct {
	authsvc.Store
	attempts int
	tokenKey string
}

func (s *lateStore) TokenKey(context.Context) ([]byte, error) {
	if s.attempts++; s.attempts < 3 {
		return nil, fault.New(fault.StoreUnavailable, "away")
	}
	return []byte(s.tokenKey), nil
}

func TestKeyringFromASnapshotWaitsForItsOwnStore(t *testing.T) {
	for tokenKey, want := range map[string]error{"of the snapshot": nil, "of another database": errOtherDatabase} {
		synctest.Test(t, func(t *testing.T) {
			store := &lateStore{tokenKey: tokenKey}
			k := &keyring{
				Keyring: authsvc.NewKeyring(store, time.Now), config: authConfig{store: store},
				log: slog.New(slog.DiscardHandler), tokenKey: []byte("of the snapshot"),
			}
			if err := k.awaitStore(t.Context()); !errors.Is(err, want) || store.attempts != 3 {
				t.Errorf("token key %s: error %v after %d attempts", tokenKey, err, store.attempts)
			}
		})
	}
}

// changingStore has no keys, but revisions. It hangs while hung is set.
type changingStore struct {
	authsvc.Store
	newest authsvc.Position
	hung   bool
}

func (s *changingStore) Newest(ctx context.Context, _ authsvc.Position) (authsvc.Position, bool, error) {
	if s.hung {
		<-ctx.Done()
	}
	return s.newest, true, ctx.Err()
}

func (s *changingStore) ChangesSince(context.Context, authsvc.Position, func(authsvc.Change) error) (authsvc.Position, bool, error) {
	return s.newest, true, nil
}

// newSaving returns a keyring with a snapshot in dir, which follows store.
func newSaving(store authsvc.Store, dir string) *keyring {
	return &keyring{
		Keyring: authsvc.NewKeyring(store, time.Now), config: authConfig{store: store, trailDir: dir, snapshotOf: "db"},
		log: slog.New(slog.DiscardHandler),
	}
}

// stored returns the revision of the snapshot.
func (k *keyring) stored(t *testing.T) authsvc.Revision {
	t.Helper()
	again := newSaving(nil, k.config.trailDir)
	if err := again.restore(); err != nil {
		t.Fatal(err)
	}
	return again.Stats().Revision
}

// saveInBackground runs saveSnapshots until the returned function is called, which waits for its end.
func (k *keyring) saveInBackground(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.saveSnapshots(ctx) })
	return func() { cancel(); running.Wait() }
}

func TestSnapshotFollowsTheKeyring(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := &changingStore{newest: authsvc.Position{Revision: 1, Mark: uuid.New()}}
		k := newSaving(store, dir)
		refresh := func(revision authsvc.Revision) {
			store.newest.Revision = revision
			if err := k.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		refresh(1)
		stop := k.saveInBackground(t)
		for _, step := range []struct {
			after      time.Duration
			made, want authsvc.Revision
		}{{time.Second, 2, 1}, {minSnapshotPause, 3, 2}, {time.Second, 4, 2}, {minSnapshotPause, 4, 4}, {time.Hour, 5, 4}} {
			for range step.after / time.Second {
				<-time.After(time.Second)
				refresh(store.newest.Revision) // it is fresh
			}
			synctest.Wait()
			if got := k.stored(t); got != step.want {
				t.Errorf("after %v the snapshot has revision %d, want %d", step.after, got, step.want)
			}
			refresh(step.made)
		}
		stop()
		if got := k.stored(t); got != 5 {
			t.Errorf("after the stop the snapshot has revision %d", got)
		}
	})
}

func TestReplicaThatIsCutOffKeepsTheSnapshotOfAnother(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := &changingStore{newest: authsvc.Position{Revision: 1, Mark: uuid.New()}}
		cutOff, other := newSaving(store, dir), newSaving(store, dir)
		follow := func(k *keyring, revision authsvc.Revision) {
			store.newest.Revision = revision
			if err := k.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		follow(cutOff, 1)
		stop := cutOff.saveInBackground(t) // saves revision 1, and pauses
		<-time.After(time.Second)
		follow(cutOff, 2) // the last change that it sees
		<-time.After(minSnapshotPause - 2*time.Second)
		follow(other, 3)
		stopOther := other.saveInBackground(t)
		<-time.After(time.Minute)
		synctest.Wait()
		stop()
		if got := cutOff.stored(t); got != 3 {
			t.Errorf("the snapshot has revision %d, want 3", got)
		}
		stopOther()
	})
}

func TestStopDoesNotWaitForARefreshThatHangs(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := &changingStore{newest: authsvc.Position{Revision: 1, Mark: uuid.New()}}
		k := newSaving(store, dir)
		if err := k.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := k.saveInBackground(t)
		synctest.Wait()
		store.hung = true
		ctx, cancel := context.WithCancel(t.Context())
		var hanging sync.WaitGroup
		hung := true
		hanging.Go(func() { _ = k.Refresh(ctx); hung = false })
		synctest.Wait()
		stop()
		if !hung {
			t.Error("the stop waited for the refresh")
		}
		cancel()
		hanging.Wait()
	})
}

// TestStopWithoutTheStoreKeepsTheSnapshot has another replica write a newer snapshot while this one cannot reach the store.
func TestStopWithoutTheStoreKeepsTheSnapshot(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := &changingStore{newest: authsvc.Position{Revision: 1, Mark: uuid.New()}}
		cutOff, other := newSaving(store, dir), newSaving(store, dir)
		if err := cutOff.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop := cutOff.saveInBackground(t)
		<-time.After(time.Minute)
		store.newest.Revision = 2
		if err := other.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		other.saveInBackground(t)()
		stop()
		if got := cutOff.stored(t); got != 2 {
			t.Errorf("after the stop of a replica that was cut off, the snapshot has revision %d, want 2", got)
		}
	})
}
