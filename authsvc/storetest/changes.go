package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

var changes = []statement{
	{"Changes calls apply with the newest state of every key that was changed after the revision since", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 4)
		since := newest(t, store)
		keys[2] = renamed(t, store, keys[2], "renamed")
		keys[0] = rotated(t, store, keys[0])
		foreign := created(t, store, other)
		expectEqual(t, "the changes", changedKeys(changesSince(t, store, since)), []authsvc.Key{keys[2], keys[0], foreign})
	}},
	{"Changes calls apply by ascending revision", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 5)
		for _, i := range []int{3, 1, 4} {
			keys[i] = renamed(t, store, keys[i], "renamed")
		}
		expectAscending(t, 0, changesSince(t, store, 0))
	}},
	{"Changes calls apply with each key once", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		since := newest(t, store)
		renamed(t, store, key, "first")
		key = rotated(t, store, renamed(t, store, key, "second"))
		expectEqual(t, "the newest state", onlyChange(t, store, since), authsvc.Change{Revision: since + 3, Key: key})
	}},
	{"since the newest revision there is no change", func(t *testing.T, store authsvc.Store) {
		createdMany(t, store, home, 2)
		expectNoChange(t, store, newest(t, store))
		expectNoChange(t, store, newest(t, store)+1000)
	}},
	{"since revision 0 these are all keys", func(t *testing.T, store authsvc.Store) {
		keys := append(createdMany(t, store, home, 3), createdMany(t, store, other, 3)...)
		must(t, store.Delete(t.Context(), home, keys[0].ID, anyKey))
		var live []authsvc.Change
		for _, c := range changesSince(t, store, 0) {
			if !c.Deleted {
				live = append(live, c)
			}
		}
		expectEqual(t, "the keys", changedKeys(live), keys[1:])
	}},
	{"if a key was deleted, only the ID is set", func(t *testing.T, store authsvc.Store) {
		key := rotated(t, store, created(t, store, home))
		since := newest(t, store)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		expectEqual(t, "the deletion", onlyChange(t, store, since),
			authsvc.Change{Revision: since + 1, Key: authsvc.Key{ID: key.ID}, Deleted: true})
	}},
	{"a key that was created and deleted after since is at most a deletion", func(t *testing.T, store authsvc.Store) {
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
	{"if apply returns an error, Changes stops and returns that error", func(t *testing.T, store authsvc.Store) {
		createdMany(t, store, home, 3)
		errApply, calls := errors.New("apply refused"), 0
		apply := func(authsvc.Change) error {
			calls++
			return errApply
		}
		expectError(t, "Changes", store.Changes(t.Context(), 0, apply), errApply)
		_, _, err := store.ChangesSince(t.Context(), authsvc.Position{}, apply)
		expectError(t, "ChangesSince", err, errApply)
		expectEqual(t, "calls of apply", calls, 2)
	}},
	{"a slow apply does not block writers", slowApply},
	{"ChangesSince is Newest and Changes in one snapshot of the store", oneSnapshot},
	{"ChangesSince the zero position applies all keys", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 3)
		applied, position, _ := changesFrom(t, store, authsvc.Position{}, nil)
		expectEqual(t, "the keys", changedKeys(applied), keys)
		expectEqual(t, "the position", position, newestPosition(t, store))
	}},
	{"if since is not a position of this store's history, ChangesSince applies nothing", func(t *testing.T, store authsvc.Store) {
		created(t, store, home)
		other := newestPosition(t, store)
		created(t, store, home)
		other.Mark[0]++
		applied, _, follows := changesFrom(t, store, other, nil)
		expectEqual(t, "the number of changes", len(applied), 0)
		expectEqual(t, "follows", follows, false)
	}},
}

// oneSnapshot changes keys while the store applies changes.
func oneSnapshot(t *testing.T, store authsvc.Store) {
	keys := createdMany(t, store, home, 2)
	since := newestPosition(t, store)
	first := created(t, store, home)
	before := newestPosition(t, store)
	applied, position, follows := changesFrom(t, store, since, func() {
		must(t, store.Delete(t.Context(), home, keys[0].ID, anyKey))
		created(t, store, home)
	})
	expectEqual(t, "the changes", changedKeys(applied), []authsvc.Key{first})
	expectEqual(t, "the position", position, before)
	expectEqual(t, "follows", follows, true)
	applied, position, _ = changesFrom(t, store, position, nil)
	expectEqual(t, "the number of later changes", len(applied), 2)
	expectEqual(t, "the later position", position, newestPosition(t, store))
}

// changesFrom returns what ChangesSince applies and returns. It calls during, if that is not nil, with the first change.
func changesFrom(t *testing.T, store authsvc.Store, since authsvc.Position, during func()) (applied []authsvc.Change, newest authsvc.Position, follows bool) {
	t.Helper()
	newest, follows, err := store.ChangesSince(t.Context(), since, func(c authsvc.Change) error {
		if applied = append(applied, c); during != nil && len(applied) == 1 {
			during()
		}
		return nil
	})
	must(t, err)
	return applied, newest, follows
}

func changedKeys(changes []authsvc.Change) []authsvc.Key {
	keys := make([]authsvc.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	return keys
}

// expectAscending checks that changes have ascending revisions after since, and each key once.
func expectAscending(t *testing.T, since authsvc.Revision, changes []authsvc.Change) {
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
	// A store that blocks writers during Changes would deadlock here.
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
	expectEqual(t, "the first change", applied[0], keys[0])
}

var follow = []statement{
	{"a reader that has seen revision n has seen every change up to n", followWriters},
	{"revisions number the changes across all workspaces", func(t *testing.T, store authsvc.Store) {
		createdMany(t, store, home, 2)
		createdMany(t, store, other, 2)
		for i, c := range changesSince(t, store, 0) {
			expectEqual(t, "the revision", c.Revision, authsvc.Revision(i+1))
		}
	}},
}

// A follower polls for changes after the highest revision that it has seen, like the keyring.
type follower struct {
	seen authsvc.Revision
	keys map[uuid.UUID]authsvc.Key
}

func (f *follower) poll(t *testing.T, store authsvc.Store) {
	if err := store.Changes(t.Context(), f.seen, f.apply); err != nil {
		t.Error(err)
	}
}

func (f *follower) apply(c authsvc.Change) error {
	if c.Revision <= f.seen {
		return fmt.Errorf("revision %d after revision %d", c.Revision, f.seen)
	}
	f.seen = c.Revision
	if c.Deleted {
		delete(f.keys, c.Key.ID)
	} else {
		f.keys[c.Key.ID] = c.Key
	}
	return nil
}

// followWriters gives every writer a follower that polls after each write, while the other writers are running. A follower
// would never see a revision that is committed after a higher one.
func followWriters(t *testing.T, store authsvc.Store) {
	var followers [4]follower
	var all sync.WaitGroup
	for i := range followers {
		f := &followers[i]
		f.keys = map[uuid.UUID]authsvc.Key{}
		all.Go(func() { writeMuch(t, store, []string{home, other}[i%2], func() { f.poll(t, store) }) })
	}
	all.Wait()
	want := allKeys(t, store)
	for i := range followers {
		followers[i].poll(t, store)
		expectEqual(t, fmt.Sprint("the keys of follower ", i), followers[i].keys, want)
	}
}

// keysPerWriter is how many keys writeMuch creates.
const keysPerWriter = 12

// writeMuch creates keys, updates a third of them and deletes another third. It calls written after each write.
func writeMuch(t *testing.T, store authsvc.Store, workspaceID string, written func()) {
	for i := range keysPerWriter {
		key := newKey(workspaceID)
		writes := []func() error{func() error { return store.Create(t.Context(), key, authsvc.Request{}) }}
		switch i % 3 {
		case 1:
			writes = append(writes, func() error {
				_, err := store.Update(t.Context(), workspaceID, key.ID, authsvc.Request{}, rename(fmt.Sprint("renamed ", i)))
				return err
			})
		case 2:
			writes = append(writes, func() error { return store.Delete(t.Context(), workspaceID, key.ID, anyKey) })
		}
		for _, write := range writes {
			if err := write(); err != nil {
				t.Error(err)
				return
			}
			written()
		}
	}
}

// allKeys returns the keys of both workspaces.
func allKeys(t *testing.T, store authsvc.Store) map[uuid.UUID]authsvc.Key {
	t.Helper()
	all := map[uuid.UUID]authsvc.Key{}
	for _, workspaceID := range []string{home, other} {
		keys, _, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: workspaceID, Before: uuid.Nil, Limit: 1000})
		must(t, err)
		for _, key := range keys {
			all[key.ID], err = store.Get(t.Context(), workspaceID, key.ID)
			must(t, err)
		}
	}
	return all
}
