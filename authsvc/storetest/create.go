package storetest

import (
	"testing"
	"time"

	"github.com/keytrail/keytrail/authsvc"
)

var create = []statement{
	{"Create stores a new key", func(t *testing.T, store authsvc.Store) {
		holds(t, store, created(t, store, home))
	}},
	{"Create stores a new key with the next revision", func(t *testing.T, store authsvc.Store) {
		created(t, store, home)
		before := newest(t, store)
		key := created(t, store, other)
		change := onlyChange(t, store, before)
		equal(t, "the next revision", change, authsvc.Change{Revision: before + 1, Key: key})
	}},
	{"a key without expiry, with all agents, disabled, is stored as it is", func(t *testing.T, store authsvc.Store) {
		key := newKey(home)
		key.ExpireTime, key.AllAgents, key.AgentIDs, key.Disabled = time.Time{}, true, nil, true
		must(t, store.Create(t.Context(), key, authsvc.Request{}))
		holds(t, store, key)
	}},
	{"exactly one of AllAgents and AgentIDs is set, and lists of nothing are nil", normalised},
	{"all times of a key are UTC with ms precision", times},
	{"names need not be unique", func(t *testing.T, store authsvc.Store) {
		holds(t, store, created(t, store, home))
		holds(t, store, created(t, store, home))
	}},
	{"its ID is new: another is refused and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		again := newKey(home)
		again.ID = key.ID
		refused(t, store, key, again)
	}},
	{"its ID is new: a deleted key's is refused too", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		again := newKey(home)
		again.ID = key.ID
		if err := store.Create(t.Context(), again, authsvc.Request{}); err == nil {
			t.Error("Create brought a deleted key back")
		}
		lacks(t, store, key)
	}},
	{"its secrets' digests are new: another is refused and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		again := newKey(home)
		again.Secrets = append(again.Secrets, key.Secrets...)
		refused(t, store, key, again)
		lacks(t, store, again)
	}},
	{"a key that was handed in is the caller's to change afterwards", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		want, err := store.Get(t.Context(), home, key.ID)
		must(t, err)
		scribble(key)
		holds(t, store, want)
	}},
}

func normalised(t *testing.T, store authsvc.Store) {
	key := newKey(home)
	key.AllAgents, key.Scopes = true, []string{}
	must(t, store.Create(t.Context(), key, authsvc.Request{}))
	key.AgentIDs, key.Scopes = nil, nil
	holds(t, store, key)
}

func times(t *testing.T, store authsvc.Store) {
	key := newKey(home)
	zone := time.FixedZone("there", 5*60*60)
	fine := start.Add(999 * time.Microsecond).In(zone)
	key.CreateTime, key.UpdateTime, key.ExpireTime = fine, fine, fine
	key.Secrets[0].CreateTime, key.Secrets[0].ExpireTime = fine, fine
	must(t, store.Create(t.Context(), key, authsvc.Request{}))

	got, err := store.Get(t.Context(), home, key.ID)
	must(t, err)
	secret := got.Secrets[0]
	for _, moment := range []time.Time{got.CreateTime, got.UpdateTime, got.ExpireTime, secret.CreateTime, secret.ExpireTime} {
		// == compares the location too.
		if moment != start {
			t.Errorf("time %v, want %v", moment, start)
		}
	}
}

// refused checks that Create refuses the intruder, and that the key that was there stays as it is.
func refused(t *testing.T, store authsvc.Store, key, intruder authsvc.Key) {
	t.Helper()
	before := newest(t, store)
	if err := store.Create(t.Context(), intruder, authsvc.Request{}); err == nil {
		t.Error("Create took what is there already")
	}
	quiet(t, store, before)
	holds(t, store, key)
}

// scribble changes all that copies of a key could share.
func scribble(key authsvc.Key) {
	key.Metadata["scribble"] = "scribble"
	key.Scopes[0], key.AgentIDs[0], key.Secrets[0] = "scribble", "scribble", authsvc.Secret{Last4: "scribble"}
}
