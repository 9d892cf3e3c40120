package postgres_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/postgres"
	"github.com/keytrail/keytrail/internal/fault"
)

// changesOf returns n new keys, with gaps between their revisions like those of deleted keys.
func changesOf(count int) []authsvc.Change {
	changes := make([]authsvc.Change, count)
	for i := range changes {
		changes[i] = authsvc.Change{Revision: authsvc.Revision(2*i + 1), Key: newKey("acme")}
	}
	return changes
}

func feed(changes []authsvc.Change) func(func(authsvc.Change) error) error {
	return func(apply func(authsvc.Change) error) error {
		for _, c := range changes {
			if err := apply(c); err != nil {
				return err
			}
		}
		return nil
	}
}

func changesSince(t *testing.T, store *postgres.Store, since authsvc.Revision) (changes []authsvc.Change) {
	t.Helper()
	must(t, store.Changes(t.Context(), since, func(c authsvc.Change) error {
		changes = append(changes, c)
		return nil
	}))
	return changes
}

func TestImportMakesTheStoreAnotherOne(t *testing.T) {
	t.Parallel()
	store := open(t, database(t))
	_, err := store.TokenKey(t.Context())
	must(t, err)
	before, _, err := store.Newest(t.Context(), authsvc.Position{})
	must(t, err)
	tokenKey := slices.Repeat([]byte{7}, 32)
	want := changesOf(1201)
	must(t, store.Import(t.Context(), tokenKey, feed(want)))
	equal(t, changesSince(t, store, 0), want)
	got, err := store.TokenKey(t.Context())
	must(t, err)
	equal(t, got, tokenKey)
	// A follower of the imported keys sees the next change.
	key := newKey("acme")
	must(t, store.Create(t.Context(), key, authsvc.Request{}))
	last := want[len(want)-1].Revision
	newest, follows, err := store.Newest(t.Context(), before)
	must(t, err)
	if newest.Revision != last+1 || !follows {
		t.Errorf("the newest position is %v, and the one before the import can be followed: %v", newest, follows)
	}
	equal(t, changesSince(t, store, last), []authsvc.Change{{Revision: last + 1, Key: key}})
}

func TestImportedKeysCountForQuotasAndAreNotRefusedByOne(t *testing.T) {
	t.Parallel()
	store, changes := open(t, database(t)), changesOf(3)
	must(t, store.Import(t.Context(), make([]byte, 32), feed(changes)))
	key := newKey("acme")
	bytes := key.Size()
	for _, c := range changes {
		bytes += c.Key.Size()
	}
	for _, quota := range []authsvc.Quota{{Keys: 3}, {Bytes: bytes - 1}} {
		if err := store.Create(t.Context(), key, authsvc.Request{Quota: quota}); fault.KindOf(err) != fault.Exhausted {
			t.Errorf("%+v: error %v", quota, err)
		}
	}
	must(t, store.Create(t.Context(), key, authsvc.Request{Quota: authsvc.Quota{Keys: 4, Bytes: bytes}}))
}

func TestImportOfNothingLeavesTheStoreUnused(t *testing.T) {
	t.Parallel()
	store := open(t, database(t))
	must(t, store.Import(t.Context(), make([]byte, 32), feed(nil)))
	unused, err := store.Unused(t.Context())
	must(t, err)
	equal(t, unused, true)
}

func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	store := open(t, database(t))
	before, err := store.TokenKey(t.Context())
	must(t, err)
	broken, changes := errors.New("broken off"), changesOf(501)
	err = store.Import(t.Context(), make([]byte, 32), func(apply func(authsvc.Change) error) error {
		return errors.Join(feed(changes)(apply), broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	equal(t, len(changesSince(t, store, 0)), 0)
	after, err := store.TokenKey(t.Context())
	must(t, err)
	equal(t, after, before)
	unused, err := store.Unused(t.Context())
	must(t, err)
	equal(t, unused, true)
}

func TestImportWantsAStoreThatNeverHadAKey(t *testing.T) {
	t.Parallel()
	store, key := open(t, database(t)), newKey("acme")
	must(t, store.Create(t.Context(), key, authsvc.Request{}))
	must(t, store.Delete(t.Context(), "acme", key.ID, anyKey))
	if err := store.Import(t.Context(), make([]byte, 32), feed(changesOf(1))); fault.KindOf(err) != fault.Precondition {
		t.Errorf("error %v", err)
	}
	unused, err := store.Unused(t.Context())
	must(t, err)
	equal(t, unused, false)
}
