package storetest

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/uuid7"
)

var get = []statement{
	{"Get returns one key", func(t *testing.T, store authsvc.Store) {
		created(t, store, home)
		key := created(t, store, home)
		created(t, store, home)
		expectKey(t, store, key)
	}},
	{"Get returns the secrets newest first", func(t *testing.T, store authsvc.Store) {
		key := newKey(home)
		// The same time for all, as after rotations within a millisecond: the order is the key's.
		for len(key.Secrets) < authsvc.MaxSecrets {
			key.Secrets = append(key.Secrets, newSecret(start))
		}
		must(t, store.Create(t.Context(), key, authsvc.Request{}))
		expectKey(t, store, key)
	}},
	{"Get returns ErrNotFound if there is no such key", func(t *testing.T, store authsvc.Store) {
		created(t, store, home)
		expectNoKey(t, store, newKey(home))
	}},
	{"Get, List and Changes return copies that the caller may keep and change", func(t *testing.T, store authsvc.Store) {
		want := created(t, store, home)
		key, err := store.Get(t.Context(), home, want.ID)
		must(t, err)
		modify(key)
		keys, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Before: uuid.Nil, Limit: 1})
		must(t, err)
		modify(keys[0])
		modify(onlyChange(t, store, 0).Key)
		expectKey(t, store, want)
	}},
}

var list = []statement{
	{"List returns the keys of the workspace by descending ID", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 5)
		older := newKey(home)
		older.ID = uuid7.New(start.Add(-time.Minute))
		must(t, store.Create(t.Context(), older, authsvc.Request{}))
		created(t, store, other)
		expectList(t, store, uuid.Nil, 100, slices.Insert(keys, 1, older))
	}},
	{"List returns the secrets newest first", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 2)
		for i := range keys {
			keys[i] = rotated(t, store, keys[i])
		}
		expectList(t, store, uuid.Nil, 2, keys)
	}},
	{"List returns up to Limit keys", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 4)
		keys[0] = rotated(t, store, keys[0])
		for limit := 1; limit < 6; limit++ {
			expectList(t, store, uuid.Nil, limit, keys[:min(limit, len(keys))])
		}
	}},
	{"List returns only the keys below the ID Before", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 4)
		expectList(t, store, keys[1].ID, 100, keys[2:])
		expectList(t, store, uuid7.First(start.Add(-time.Minute)), 2, keys[1:3])
		expectList(t, store, keys[3].ID, 100, nil)
	}},
	{"a zero Before starts at the newest key", func(t *testing.T, store authsvc.Store) {
		keys := createdMany(t, store, home, 2)
		expectList(t, store, uuid.UUID{}, 1, keys[:1])
	}},
	{"List returns nothing for a workspace without keys", func(t *testing.T, store authsvc.Store) {
		created(t, store, other)
		expectList(t, store, uuid.Nil, 100, nil)
	}},
	{"pages neither skip nor repeat a key while others are created and deleted", pages},
}

func expectList(t *testing.T, store authsvc.Store, before uuid.UUID, limit int, want []authsvc.Key) {
	t.Helper()
	expectSelected(t, store, authsvc.KeyQuery{Before: before, Limit: limit}, want...)
}

func pages(t *testing.T, store authsvc.Store) {
	const size = 3
	keys := createdMany(t, store, home, 3*size+1)
	var listed []authsvc.Key
	var before uuid.UUID
	for {
		page, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Before: before, Limit: size})
		must(t, err)
		listed = append(listed, page...)
		if len(page) < size {
			break
		}
		before = page[size-1].ID
		created(t, store, home)
		must(t, store.Delete(t.Context(), home, before, anyKey))
	}
	expectEqual(t, "all pages", ids(listed), ids(keys))
}

var filters = []statement{
	{"Text selects keys by a substring of their name, ignoring case, each character literal", func(t *testing.T, store authsvc.Store) {
		made := named(t, store, "Größe 100%", "other_1", "OTHERX1", "Ωmega")
		expectSelected(t, store, authsvc.KeyQuery{Text: "GRÖSSE"})
		expectSelected(t, store, authsvc.KeyQuery{Text: "GRÖ"}, made[0])
		expectSelected(t, store, authsvc.KeyQuery{Text: "0%"}, made[0])
		expectSelected(t, store, authsvc.KeyQuery{Text: "other_"}, made[1])
		expectSelected(t, store, authsvc.KeyQuery{Text: "Other"}, made[1], made[2])
		expectSelected(t, store, authsvc.KeyQuery{Text: "ωM"}, made[3])
	}},
	{"Text selects keys by the last 4 characters of any of their secrets, ignoring case", func(t *testing.T, store authsvc.Store) {
		made := named(t, store, "a", "b")
		key := updated(t, store, made[0], func(k *authsvc.Key) {
			k.Secrets[0].Last4 = "aBc9"
			k.Secrets = append(k.Secrets, newSecret(start))
			k.Secrets[1].Last4 = "Zz00"
		})
		expectSelected(t, store, authsvc.KeyQuery{Text: "AbC9"}, key)
		expectSelected(t, store, authsvc.KeyQuery{Text: "zz00"}, key)
		expectSelected(t, store, authsvc.KeyQuery{Text: "bc9"})
	}},
	{"ExternalID selects keys with exactly this ExternalID", func(t *testing.T, store authsvc.Store) {
		made := named(t, store, "a", "b", "c")
		for i, id := range []string{"cust_1", "CUST_1", "cust_12"} {
			made[i] = updated(t, store, made[i], func(k *authsvc.Key) { k.ExternalID = id })
		}
		expectSelected(t, store, authsvc.KeyQuery{ExternalID: "cust_1"}, made[0])
		expectSelected(t, store, authsvc.KeyQuery{ExternalID: "cust"})
	}},
	{"State selects keys by their state at Now: disabled, expired and not disabled, or enabled", states},
	{"filters combine with AND, and with pages", func(t *testing.T, store authsvc.Store) {
		made := named(t, store, "prod 1", "prod 2", "test", "prod 3")
		query := authsvc.KeyQuery{Text: "prod", ExternalID: made[0].ExternalID, State: authsvc.StateEnabled, Now: start}
		expectSelected(t, store, query, made[0], made[1], made[3])
		query.Limit = 2
		expectSelected(t, store, query, made[0], made[1])
		query.Before = made[1].ID
		expectSelected(t, store, query, made[3])
		query.ExternalID = "another"
		expectSelected(t, store, query)
	}},
}

// named creates keys with these names and returns them by descending ID.
func named(t *testing.T, store authsvc.Store, names ...string) []authsvc.Key {
	t.Helper()
	keys := createdMany(t, store, home, len(names))
	for i, name := range names {
		keys[i] = renamed(t, store, keys[i], name)
	}
	created(t, store, other)
	return keys
}

// expectSelected checks which keys a query selects in the home workspace.
func expectSelected(t *testing.T, store authsvc.Store, query authsvc.KeyQuery, want ...authsvc.Key) {
	t.Helper()
	query.WorkspaceID = home
	query.Limit = cmp.Or(query.Limit, 100)
	got, err := store.List(t.Context(), query)
	must(t, err)
	expectEqual(t, "the IDs of List", ids(got), ids(want))
	for i := range min(len(got), len(want)) {
		expectEqual(t, "a key of List", got[i], want[i])
	}
}

func states(t *testing.T, store authsvc.Store) {
	made := named(t, store, "never expires", "expires later", "expires now", "expired", "disabled", "disabled and expired")
	for i, change := range []func(*authsvc.Key){
		func(k *authsvc.Key) { k.ExpireTime = time.Time{} },
		func(k *authsvc.Key) { k.ExpireTime = start.Add(time.Millisecond) },
		func(k *authsvc.Key) { k.ExpireTime = start },
		func(k *authsvc.Key) { k.ExpireTime = start.Add(-time.Hour) },
		func(k *authsvc.Key) { k.Disabled, k.ExpireTime = true, time.Time{} },
		func(k *authsvc.Key) { k.Disabled, k.ExpireTime = true, start.Add(-time.Hour) },
	} {
		made[i] = updated(t, store, made[i], change)
	}
	expectSelected(t, store, authsvc.KeyQuery{State: authsvc.StateEnabled, Now: start}, made[:2]...)
	expectSelected(t, store, authsvc.KeyQuery{State: authsvc.StateExpired, Now: start}, made[2:4]...)
	expectSelected(t, store, authsvc.KeyQuery{State: authsvc.StateDisabled, Now: start}, made[4:]...)
	expectSelected(t, store, authsvc.KeyQuery{Now: start}, made...)
}
