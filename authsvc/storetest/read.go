package storetest

import (
	"cmp"
	"fmt"
	"runtime"
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
		keys, _, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Before: uuid.Nil, Limit: 1})
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
	{"the secrets of listed keys have no digests", func(t *testing.T, store authsvc.Store) {
		created(t, store, home)
		keys, _, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Limit: 1})
		must(t, err)
		expectEqual(t, "the digest", keys[0].Secrets[0].Digest, authsvc.Digest{})
	}},
	{"List returns keys up to Bytes, but at least one", upToBytes},
	{"more reports whether the query selects further keys", func(t *testing.T, store authsvc.Store) {
		keys := named(t, store, "prod 1", "test", "prod 2", "test", "prod 3", "test")
		query := authsvc.KeyQuery{Text: "prod", Limit: 2}
		expectPage(t, store, query, true, keys[0], keys[2])
		query.Before = keys[2].ID
		expectPage(t, store, query, false, keys[4])
		query.Before = keys[4].ID
		expectPage(t, store, query, false)
		expectPage(t, store, authsvc.KeyQuery{Text: "prod", Limit: 3}, false, keys[0], keys[2], keys[4])
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

// expectPage checks the keys of one page of the home workspace, and whether there are more.
func expectPage(t *testing.T, store authsvc.Store, query authsvc.KeyQuery, wantMore bool, want ...authsvc.Key) {
	t.Helper()
	query.WorkspaceID = home
	got, more, err := store.List(t.Context(), query)
	must(t, err)
	expectEqual(t, "the IDs of List", ids(got), ids(want))
	expectEqual(t, "more", more, wantMore)
}

func upToBytes(t *testing.T, store authsvc.Store) {
	keys := createdMany(t, store, home, 4)
	keys[1] = updated(t, store, keys[1], func(k *authsvc.Key) { k.AgentIDs = agents(10, 255) })
	keys[2] = rotated(t, store, keys[2])
	first, second, third := keys[0].Size(), keys[1].Size(), keys[2].Size()
	for bytes, want := range map[int64]int{
		1: 1, first: 1, first + second - 1: 1, first + second: 2, first + second + third: 3, 1 << 20: 4, 0: 4,
	} {
		expectPage(t, store, authsvc.KeyQuery{Limit: 100, Bytes: bytes}, want < 4, keys[:want]...)
	}
	expectPage(t, store, authsvc.KeyQuery{Limit: 100, Bytes: 1, Before: keys[0].ID}, true, keys[1])
	expectPage(t, store, authsvc.KeyQuery{Limit: 100, Bytes: 1, Before: keys[2].ID}, false, keys[3])
	expectPage(t, store, authsvc.KeyQuery{Limit: 2, Bytes: 1 << 20}, true, keys[:2]...)
}

// agents returns n different ids of agents of a length.
func agents(n, length int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%0*d", length, i)
	}
	return ids
}

// readsOnePage lists 25 MB of keys with a page of 1 MiB.
func readsOnePage(t *testing.T, store authsvc.Store) {
	for range 100 {
		key := newKey(home)
		key.AgentIDs = agents(authsvc.MaxAgents, 255)
		must(t, store.Create(t.Context(), key, authsvc.Request{}))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	keys, more, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Limit: 1000, Bytes: 1 << 20})
	runtime.ReadMemStats(&after)
	must(t, err)
	expectEqual(t, "the number of keys", len(keys), 3)
	expectEqual(t, "more", more, true)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8<<20 {
		t.Errorf("List allocated %d bytes for a page of 1 MiB", allocated)
	}
}

func pages(t *testing.T, store authsvc.Store) {
	const size = 3
	keys := createdMany(t, store, home, 3*size+1)
	var listed []authsvc.Key
	var before uuid.UUID
	for {
		page, more, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Before: before, Limit: size})
		must(t, err)
		listed = append(listed, page...)
		if !more {
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
	got, _, err := store.List(t.Context(), query)
	must(t, err)
	expectEqual(t, "the IDs of List", ids(got), ids(want))
	for i := range min(len(got), len(want)) {
		expectEqual(t, "a key of List", got[i], withoutDigests(want[i]))
	}
}

// withoutDigests returns a key as List does.
func withoutDigests(key authsvc.Key) authsvc.Key {
	key.Secrets = slices.Clone(key.Secrets)
	for i := range key.Secrets {
		key.Secrets[i].Digest = authsvc.Digest{}
	}
	return key
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
