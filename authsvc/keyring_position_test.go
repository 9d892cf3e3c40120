package authsvc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/sqlite"
)

// interruptedStore calls before and after once, before and after it reads changes. Then it fails, if it is broken.
type interruptedStore struct {
	*sqlite.Store
	before, after func()
	broken        bool
}

func (s *interruptedStore) ChangesSince(ctx context.Context, since authsvc.Position, apply func(authsvc.Change) error) (authsvc.Position, bool, error) {
	once(&s.before)
	defer once(&s.after)
	newest, follows, err := s.Store.ChangesSince(ctx, since, apply)
	if s.broken {
		err = errors.New("connection lost")
	}
	return newest, follows, err
}

func once(do *func()) {
	if *do != nil {
		(*do)()
		*do = nil
	}
}

// openKeys opens a store in a folder of its own and returns the path of its file.
func openKeys(t *testing.T) (store *sqlite.Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keys.db")
	return openAt(t, path), path
}

func openAt(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

// copyOf returns a store with what another one has now, as a standby does. Nothing writes to it meanwhile.
func copyOf(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		must(t, err)
		must(t, os.WriteFile(to+suffix, content, 0o600))
	}
	return openAt(t, to)
}

func change(t *testing.T, store *sqlite.Store, key storedKey) {
	t.Helper()
	_, err := store.Update(t.Context(), "acme", key.ID, authsvc.Request{}, changing(func(*authsvc.Key) {}))
	must(t, err)
}

func expectKeys(t *testing.T, ring *authsvc.Keyring, want int) {
	t.Helper()
	if got := ring.Stats(); got.Keys != want {
		t.Errorf("%d keys are in force at revision %d, want %d", got.Keys, got.Revision, want)
	}
}

func TestFirstKeyThatIsDeletedAfterTheLoadIsNotInForce(t *testing.T) {
	for _, created := range []string{"before the read", "after the read"} {
		real, _ := openKeys(t)
		key, store := newStoredKey(t), &interruptedStore{Store: real}
		create := func() { must(t, real.Create(t.Context(), key.Key, authsvc.Request{})) }
		if created == "before the read" {
			store.before = create
		} else {
			store.after = create
		}
		ring := authsvc.NewKeyring(store, time.Now)
		must(t, ring.Refresh(t.Context()))
		must(t, real.Delete(t.Context(), "acme", key.ID, func(*authsvc.Key) error { return nil }))
		must(t, ring.Refresh(t.Context()))
		expectKeys(t, ring, 0)
	}
}

// A change that is committed while a refresh reads is lost in a failover to a standby that has everything before it.
func TestChangeThatIsLostAfterARefreshReadItIsNotInForce(t *testing.T) {
	before, path := openKeys(t)
	key, lost := newStoredKey(t), newStoredKey(t)
	must(t, before.Create(t.Context(), key.Key, authsvc.Request{}))
	store := &interruptedStore{Store: before}
	ring := authsvc.NewKeyring(store, time.Now)
	must(t, ring.Refresh(t.Context()))
	change(t, before, key)
	var after *sqlite.Store
	store.before = func() {
		after = copyOf(t, path)
		must(t, before.Create(t.Context(), lost.Key, authsvc.Request{}))
	}
	must(t, ring.Refresh(t.Context()))
	store.Store = after
	change(t, after, key)
	if err := ring.Refresh(t.Context()); err == nil {
		t.Error("the keyring follows a store that has lost one of its revisions")
	}
}

func TestChangesOfAPrimaryThatFailsWhileItSendsThemAreNotInForce(t *testing.T) {
	before, path := openKeys(t)
	key, lost := newStoredKey(t), newStoredKey(t)
	must(t, before.Create(t.Context(), key.Key, authsvc.Request{}))
	store := &interruptedStore{Store: before}
	ring := authsvc.NewKeyring(store, time.Now)
	must(t, ring.Refresh(t.Context()))
	after := copyOf(t, path)
	must(t, before.Create(t.Context(), lost.Key, authsvc.Request{}))
	store.broken = true
	if err := ring.Refresh(t.Context()); err == nil {
		t.Error("no error")
	}
	store.Store, store.broken = after, false
	change(t, after, key)
	must(t, ring.Refresh(t.Context()))
	expectKeys(t, ring, 1)
}

func TestFailoverBetweenTwoReadsOfARefreshIsNoticed(t *testing.T) {
	before, path := openKeys(t)
	key := newStoredKey(t)
	must(t, before.Create(t.Context(), key.Key, authsvc.Request{}))
	after := copyOf(t, path)
	change(t, before, key)
	store := &interruptedStore{Store: before}
	ring := authsvc.NewKeyring(store, time.Now)
	must(t, ring.Refresh(t.Context()))
	change(t, before, key)
	for range 3 {
		change(t, after, key)
	}
	store.before = func() { store.Store = after }
	position := ring.Stats().Position
	if err := ring.Refresh(t.Context()); err == nil || ring.Stats().Position != position {
		t.Errorf("error %v, position %+v after %+v", err, ring.Stats().Position, position)
	}
}
