package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

var follow = []statement{
	{"whoever has seen revision n has seen every change up to n", followWriters},
	{"revisions number the changes across all workspaces", func(t *testing.T, store authsvc.Store) {
		createdMany(t, store, home, 2)
		createdMany(t, store, other, 2)
		for i, c := range changesSince(t, store, 0) {
			equal(t, "the revision", c.Revision, authsvc.Revision(i+1))
		}
	}},
}

// A follower knows the keys as far as Changes told it, asking each time for what came after the highest revision
// that it has seen: as the keyring does.
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

// followWriters gives every writer a follower that polls after each of its writes: at that moment the other writers
// are under way, and a revision below the one just seen that appears only now would be missed for ever.
func followWriters(t *testing.T, store authsvc.Store) {
	var followers [4]follower
	var all sync.WaitGroup
	for i := range followers {
		f := &followers[i]
		f.keys = map[uuid.UUID]authsvc.Key{}
		all.Go(func() { writeMuch(t, store, []string{home, other}[i%2], func() { f.poll(t, store) }) })
	}
	all.Wait()
	want := everything(t, store)
	for i := range followers {
		followers[i].poll(t, store)
		equal(t, fmt.Sprint("what follower ", i, " knows"), followers[i].keys, want)
	}
}

// ofOneWriter is how many keys writeMuch creates.
const ofOneWriter = 12

// writeMuch creates keys, updates a third of them and deletes another third; after each write it calls written.
func writeMuch(t *testing.T, store authsvc.Store, workspaceID string, written func()) {
	for i := range ofOneWriter {
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

// everything is every key of both workspaces, as List knows them.
func everything(t *testing.T, store authsvc.Store) map[uuid.UUID]authsvc.Key {
	t.Helper()
	all := map[uuid.UUID]authsvc.Key{}
	for _, workspaceID := range []string{home, other} {
		keys, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: workspaceID, Before: uuid.Nil, Limit: 1000})
		must(t, err)
		for _, key := range keys {
			all[key.ID] = key
		}
	}
	return all
}
