package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/uuid7"
)

var get = []statement{
	{"Get answers one key", func(t *testing.T, store authsvc.Store) {
		created(t, store, home)
		key := created(t, store, home)
		created(t, store, home)
		holds(t, store, key)
	}},
	{"Get answers the secrets newest first", func(t *testing.T, store authsvc.Store) {
		key := newKey(home)
		// The same time for all, as after rotations within a millisecond: the order is the key's.
		for len(key.Secrets) < authsvc.MaxSecrets {
			key.Secrets = append(key.Secrets, newSecret(start))
		}
		must(t, store.Create(t.Context(), key, authsvc.Request{}))
		holds(t, store, key)
	}},
	{"Get answers ErrNotFound where there is no such key", func(t *testing.T, store authsvc.Store) {
		created(t, store, home)
		lacks(t, store, newKey(home))
	}},
	{"a key that Get, List or Changes answered is the caller's own copy", func(t *testing.T, store authsvc.Store) {
		want := created(t, store, home)
		key, err := store.Get(t.Context(), home, want.ID)
		must(t, err)
		scribble(key)
		keys, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Before: uuid.Nil, Limit: 1})
		must(t, err)
		scribble(keys[0])
		scribble(onlyChange(t, store, 0).Key)
		holds(t, store, want)
	}},
}

var list = []statement{
	{"List answers the keys of the workspace by descending ID", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 5)
		older := newKey(home)
		older.ID = uuid7.New(start.Add(-time.Minute))
		must(t, store.Create(t.Context(), older, authsvc.Request{}))
		created(t, store, other)
		lists(t, store, uuid.Nil, 100, slices.Insert(keys, 1, older))
	}},
	{"List answers the secrets newest first", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 2)
		for i := range keys {
			keys[i] = rotated(t, store, keys[i])
		}
		lists(t, store, uuid.Nil, 2, keys)
	}},
	{"List answers up to limit keys", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 4)
		keys[0] = rotated(t, store, keys[0])
		for limit := 1; limit < 6; limit++ {
			lists(t, store, uuid.Nil, limit, keys[:min(limit, len(keys))])
		}
	}},
	{"List answers the keys below the ID before only", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 4)
		lists(t, store, keys[1].ID, 100, keys[2:])
		lists(t, store, uuid7.First(start.Add(-time.Minute)), 2, keys[1:3])
		lists(t, store, keys[3].ID, 100, nil)
	}},
	{"a zero before starts at the newest", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 2)
		lists(t, store, uuid.UUID{}, 1, keys[:1])
	}},
	{"List answers nothing for a workspace without keys", func(t *testing.T, store authsvc.Store) {
		created(t, store, other)
		lists(t, store, uuid.Nil, 100, nil)
	}},
	{"pages neither skip nor repeat a key, whatever is created and deleted meanwhile", pages},
}

func lists(t *testing.T, store authsvc.Store, before uuid.UUID, limit int, want []authsvc.Key) {
	t.Helper()
	got, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Before: before, Limit: limit})
	must(t, err)
	equal(t, "the order of List", ids(got), ids(want))
	for i := range min(len(got), len(want)) {
		equal(t, "a key of List", got[i], want[i])
	}
}

func pages(t *testing.T, store authsvc.Store) {
	const size = 3
	keys := createdMany(t, store, home, 3*size+1)
	var walked []authsvc.Key
	var before uuid.UUID
	for {
		page, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Before: before, Limit: size})
		must(t, err)
		walked = append(walked, page...)
		if len(page) < size {
			break
		}
		before = page[size-1].ID
		created(t, store, home)
		must(t, store.Delete(t.Context(), home, before, anyKey))
	}
	equal(t, "all pages", ids(walked), ids(keys))
}
