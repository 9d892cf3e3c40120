package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

var create = []statement{
	{"Create stores a new key", func(t *testing.T, store authsvc.Store) {
		expectKey(t, store, created(t, store, home))
	}},
	{"Create stores a new key with the next revision", func(t *testing.T, store authsvc.Store) {
		created(t, store, home)
		before := newest(t, store)
		key := created(t, store, other)
		change := onlyChange(t, store, before)
		expectEqual(t, "the next revision", change, authsvc.Change{Revision: before + 1, Key: key})
	}},
	{"Create stores a disabled key for all agents without expiry unchanged", func(t *testing.T, store authsvc.Store) {
		key := newKey(home)
		key.ExpireTime, key.AllAgents, key.AgentIDs, key.Disabled = time.Time{}, true, nil, true
		must(t, store.Create(t.Context(), key, authsvc.Request{}))
		expectKey(t, store, key)
	}},
	{"exactly one of AllAgents and AgentIDs is set, and empty lists are nil", normalised},
	{"all times of a key are UTC with ms precision", times},
	{"names need not be unique", func(t *testing.T, store authsvc.Store) {
		expectKey(t, store, created(t, store, home))
		expectKey(t, store, created(t, store, home))
	}},
	{"Create refuses an ID that exists and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		again := newKey(home)
		again.ID = key.ID
		expectRefused(t, store, key, again)
	}},
	{"Create refuses the ID of a deleted key", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		again := newKey(home)
		again.ID = key.ID
		if err := store.Create(t.Context(), again, authsvc.Request{}); err == nil {
			t.Error("Create restored a deleted key")
		}
		expectNoKey(t, store, key)
	}},
	{"Create refuses a digest that exists and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		again := newKey(home)
		again.Secrets = append(again.Secrets, key.Secrets...)
		expectRefused(t, store, key, again)
		expectNoKey(t, store, again)
	}},
	{"Create does not retain the key that it was given", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		want, err := store.Get(t.Context(), home, key.ID)
		must(t, err)
		modify(key)
		expectKey(t, store, want)
	}},
}

func normalised(t *testing.T, store authsvc.Store) {
	key := newKey(home)
	key.AllAgents, key.Scopes = true, []string{}
	must(t, store.Create(t.Context(), key, authsvc.Request{}))
	key.AgentIDs, key.Scopes = nil, nil
	expectKey(t, store, key)
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

// expectRefused checks that Create refuses the duplicate and that the existing key stays unchanged.
func expectRefused(t *testing.T, store authsvc.Store, key, duplicate authsvc.Key) {
	t.Helper()
	before := newest(t, store)
	if err := store.Create(t.Context(), duplicate, authsvc.Request{}); err == nil {
		t.Error("Create accepted a duplicate")
	}
	expectNoChange(t, store, before)
	expectKey(t, store, key)
}

// modify changes everything that copies of a key could share.
func modify(key authsvc.Key) {
	key.Metadata["modified"] = "modified"
	key.Scopes[0], key.AgentIDs[0], key.Secrets[0] = "modified", "modified", authsvc.Secret{Last4: "modified"}
}

var requests = []statement{
	{"Create refuses a request ID that Create has used, names the key and changes nothing", func(t *testing.T, store authsvc.Store) {
		request, key := newRequest(), newKey(home)
		must(t, store.Create(t.Context(), key, request))
		before, again := newest(t, store), newKey(home)
		expectUsed(t, store.Create(t.Context(), again, request), key)
		expectNoChange(t, store, before)
		expectNoKey(t, store, again)
	}},
	{"Update refuses a request ID that Create has used, names the key and changes nothing", func(t *testing.T, store authsvc.Store) {
		request, key, target := newRequest(), newKey(home), created(t, store, home)
		must(t, store.Create(t.Context(), key, request))
		before := newest(t, store)
		_, err := store.Update(t.Context(), home, target.ID, request, rename("new name"))
		expectUsed(t, err, key)
		expectNoChange(t, store, before)
		expectKey(t, store, target)
	}},
	{"Update and Create refuse a request ID that Update has used", func(t *testing.T, store authsvc.Store) {
		request, key := newRequest(), created(t, store, home)
		_, err := store.Update(t.Context(), home, key.ID, request, rename("new name"))
		must(t, err)
		_, err = store.Update(t.Context(), home, key.ID, request, rename("newer name"))
		expectUsed(t, err, key)
		expectUsed(t, store.Create(t.Context(), newKey(home), request), key)
	}},
	{"a request ID is used for RequestLife and can then be used again", func(t *testing.T, store authsvc.Store) {
		request, first, second := newRequest(), newKey(home), newKey(home)
		must(t, store.Create(t.Context(), first, request))
		request.Time = start.Add(authsvc.RequestLife - time.Millisecond)
		expectUsed(t, store.Create(t.Context(), second, request), first)
		request.Time = start.Add(authsvc.RequestLife)
		must(t, store.Create(t.Context(), second, request))
		expectUsed(t, store.Create(t.Context(), newKey(home), request), second)
	}},
	{"a request ID is used only in its workspace", func(t *testing.T, store authsvc.Store) {
		request := newRequest()
		must(t, store.Create(t.Context(), newKey(home), request))
		must(t, store.Create(t.Context(), newKey(other), request))
	}},
	{"a request ID stays used after its key is deleted", func(t *testing.T, store authsvc.Store) {
		request, key := newRequest(), newKey(home)
		must(t, store.Create(t.Context(), key, request))
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		expectUsed(t, store.Create(t.Context(), newKey(home), request), key)
	}},
	{"an update that fails does not use its request ID", func(t *testing.T, store authsvc.Store) {
		request, key := newRequest(), created(t, store, home)
		refuse := errors.New("no")
		_, err := store.Update(t.Context(), home, key.ID, request, func(*authsvc.Key) error { return refuse })
		expectError(t, "Update", err, refuse)
		_, err = store.Update(t.Context(), home, newKey(home).ID, request, rename("of nothing"))
		expectError(t, "Update", err, authsvc.ErrNotFound)
		_, err = store.Update(t.Context(), home, key.ID, request, rename("new name"))
		must(t, err)
	}},
	{"of concurrent requests with one ID exactly one is carried out", onlyOne},
}

func newRequest() authsvc.Request { return authsvc.Request{ID: uuid.New(), Time: start} }

// expectUsed checks the error of a request that was carried out before on the key.
func expectUsed(t *testing.T, err error, key authsvc.Key) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Reason != fault.RequestIDUsed || f.Metadata["key_id"] != key.ID.String() {
		t.Errorf("error %v, want RequestUsed for the key %s", err, key.ID)
	}
}

func onlyOne(t *testing.T, store authsvc.Store) {
	request := newRequest()
	var all sync.WaitGroup
	var succeeded atomic.Int32
	for range 8 {
		all.Go(func() {
			err := store.Create(t.Context(), newKey(home), request)
			if err == nil {
				succeeded.Add(1)
			} else if fault.KindOf(err) != fault.AlreadyExists {
				t.Error(err)
			}
		})
	}
	all.Wait()
	expectEqual(t, "the number of requests carried out", int(succeeded.Load()), 1)
	expectEqual(t, "the number of keys", len(changesSince(t, store, 0)), 1)
}
