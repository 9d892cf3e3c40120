package storetest

import (
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

var remove = []statement{
	{"Delete removes a key", func(t *testing.T, store authsvc.Store) {
		key, bystander := created(t, store, home), created(t, store, home)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		lacks(t, store, key)
		lists(t, store, uuid.Nil, 100, []authsvc.Key{bystander})
	}},
	{"Delete removes the key's secrets", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		// Digests are unique: that a new key can have this one shows that it is gone.
		heir := newKey(home)
		heir.Secrets = key.Secrets
		must(t, store.Create(t.Context(), heir, authsvc.Request{}))
		holds(t, store, heir)
	}},
	{"Delete calls check with the key, and an error of check ends it, unchanged and as it is", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		err := store.Delete(t.Context(), home, key.ID, func(got *authsvc.Key) error {
			equal(t, "the key that check sees", *got, key)
			return errRefused
		})
		if err != errRefused {
			t.Errorf("error %v, want exactly %v", err, errRefused)
		}
		quiet(t, store, before)
		holds(t, store, key)
	}},
	{"Delete takes the next revision", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		equal(t, "the next revision", onlyChange(t, store, before).Revision, before+1)
	}},
	{"Delete answers ErrNotFound where there is no such key, and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		wantError(t, "Delete", store.Delete(t.Context(), home, newKey(home).ID, anyKey), authsvc.ErrNotFound)
		quiet(t, store, before)
		holds(t, store, key)
	}},
	{"Delete answers ErrNotFound the second time, and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		wantError(t, "Delete", store.Delete(t.Context(), home, key.ID, anyKey), authsvc.ErrNotFound)
		equal(t, "the revision of the deletion", onlyChange(t, store, before).Revision, before+1)
	}},
}
