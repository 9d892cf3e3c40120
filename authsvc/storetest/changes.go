package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

var changes = []statement{
	{"Changes calls apply with the newest state of every key changed after the revision since", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 4)
		since := newest(t, store)
		keys[2] = renamed(t, store, keys[2], "renamed")
		keys[0] = rotated(t, store, keys[0])
		foreign := created(t, store, other)
		equal(t, "the changes", changedKeys(changesSince(t, store, since)), []authsvc.Key{keys[2], keys[0], foreign})
	}},
	{"Changes calls apply by ascending revision", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 5)
		for _, i := range []int{3, 1, 4} {
			keys[i] = renamed(t, store, keys[i], "renamed")
		}
		ascending(t, 0, changesSince(t, store, 0))
	}},
	{"Changes calls apply with each key once", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		since := newest(t, store)
		renamed(t, store, key, "first")
		key = rotated(t, store, renamed(t, store, key, "second"))
		equal(t, "the newest state", onlyChange(t, store, since), authsvc.Change{Revision: since + 3, Key: key})
	}},
	{"since the newest revision there is no change", func(t *testing.T, store authsvc.Store) {
		createdMany(t, store, home, 2)
		quiet(t, store, newest(t, store))
		quiet(t, store, newest(t, store)+1000)
	}},
	{"since revision 0 that is every key there is", func(t *testing.T, store authsvc.Store) {
		keys := append(createdMany(t, store, home, 3), createdMany(t, store, other, 3)...)
		must(t, store.Delete(t.Context(), home, keys[0].ID, anyKey))
		var live []authsvc.Change
		for _, c := range changesSince(t, store, 0) {
			if !c.Deleted {
				live = append(live, c)
			}
		}
		equal(t, "the keys there are", changedKeys(live), keys[1:])
	}},
	{"of a deleted key only the ID is set", func(t *testing.T, store authsvc.Store) {
		key := rotated(t, store, created(t, store, home))
		since := newest(t, store)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		equal(t, "the deletion", onlyChange(t, store, since),
			authsvc.Change{Revision: since + 1, Key: authsvc.Key{ID: key.ID}, Deleted: true})
	}},
	{"a key that came and went after since is at most a deletion", func(t *testing.T, store authsvc.Store) {
		created(t, store, home)
		since := newest(t, store)
		key := created(t, store, home)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		for _, c := range changesSince(t, store, since) {
			if !c.Deleted || c.Key.ID != key.ID {
				t.Errorf("change %+v, want a deletion of %s", c, key.ID)
			}
		}
	}},
	{"an error of apply ends it and is answered", func(t *testing.T, store authsvc.Store) {
		createdMany(t, store, home, 3)
		errApply, calls := errors.New("apply refused"), 0
		err := store.Changes(t.Context(), 0, func(authsvc.Change) error {
			calls++
			return errApply
		})
		wantError(t, "Changes", err, errApply)
		equal(t, "calls of apply", calls, 1)
	}},
	{"a slow apply keeps nobody from writing", slowApply},
}

// changedKeys are the keys of changes, in their order.
func changedKeys(changes []authsvc.Change) []authsvc.Key {
	keys := make([]authsvc.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	return keys
}

// ascending checks that changes are by ascending revision, all after since, each key once.
func ascending(t *testing.T, since authsvc.Revision, changes []authsvc.Change) {
	t.Helper()
	seen := map[uuid.UUID]bool{}
	for _, c := range changes {
		if c.Revision <= since {
			t.Errorf("revision %d after revision %d", c.Revision, since)
		}
		if seen[c.Key.ID] {
			t.Errorf("key %s twice", c.Key.ID)
		}
		since, seen[c.Key.ID] = c.Revision, true
	}
}

func slowApply(t *testing.T, store authsvc.Store) {
	keys := createdMany(t, store, home, 3)
	// The writes happen while Changes is under way: a store that makes them wait for it never gets further.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var applied []authsvc.Key
	must(t, store.Changes(ctx, 0, func(c authsvc.Change) error {
		if len(applied) == 0 {
			must(t, store.Create(ctx, newKey(home), authsvc.Request{}))
			must(t, store.Delete(ctx, home, keys[0].ID, anyKey))
		}
		applied = append(applied, c.Key)
		return nil
	}))
	equal(t, "the first change", applied[0], keys[0])
}
