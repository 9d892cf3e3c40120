package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

var quotas = []statement{
	{"Create refuses more keys than the quota and changes nothing", func(t *testing.T, store authsvc.Store) {
		request := limited(authsvc.Quota{Keys: 2})
		created(t, store, home)
		must(t, store.Create(t.Context(), newKey(home), request))
		before, key := newest(t, store), newKey(home)
		expectExceeded(t, store.Create(t.Context(), key, request), "keys", "2")
		expectNoChange(t, store, before)
		expectNoKey(t, store, key)
	}},
	{"Create refuses more bytes than the quota and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := newKey(home)
		request := limited(authsvc.Quota{Bytes: 2*key.Size() - 1})
		must(t, store.Create(t.Context(), key, request))
		before, second := newest(t, store), newKey(home)
		expectExceeded(t, store.Create(t.Context(), second, request), "bytes", "")
		expectNoChange(t, store, before)
		expectNoKey(t, store, second)
		request.Quota.Bytes++
		must(t, store.Create(t.Context(), second, request))
	}},
	{"Update refuses a larger key that exceeds the quota and changes nothing", func(t *testing.T, store authsvc.Store) {
		key, unrelated := created(t, store, home), created(t, store, home)
		request := limited(authsvc.Quota{Keys: 1, Bytes: key.Size() + unrelated.Size() + 3})
		must(t, change(t.Context(), store, key, request, func(k *authsvc.Key) { k.Name += "123" }))
		key.Name += "123"
		before := newest(t, store)
		expectExceeded(t, change(t.Context(), store, key, request, func(k *authsvc.Key) { k.Name += "4" }), "bytes", "")
		expectNoChange(t, store, before)
		expectKey(t, store, key)
	}},
	{"an update that does not make the key larger passes every quota", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		request := limited(authsvc.Quota{Keys: 1, Bytes: 1})
		must(t, change(t.Context(), store, key, request, func(k *authsvc.Key) { k.Disabled = true }))
		must(t, change(t.Context(), store, key, request, func(k *authsvc.Key) {
			k.AgentIDs[0], k.AgentIDs = "agent-3", k.AgentIDs[:1]
			k.Secrets = append(k.Secrets, newSecret(start))
		}))
	}},
	{"deleted keys and keys of other workspaces do not count", func(t *testing.T, store authsvc.Store) {
		request := limited(authsvc.Quota{Keys: 1, Bytes: sizeOfNew()})
		created(t, store, other)
		for range 3 {
			key := newKey(home)
			must(t, store.Create(t.Context(), key, request))
			must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		}
	}},
	{"a key counts with its size after its last update", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		key = updated(t, store, key, func(k *authsvc.Key) { k.AgentIDs = agents(100, 200) })
		request := limited(authsvc.Quota{Bytes: key.Size() + sizeOfNew() - 1})
		expectExceeded(t, store.Create(t.Context(), newKey(home), request), "bytes", "")
		updated(t, store, key, func(k *authsvc.Key) { k.AgentIDs = k.AgentIDs[:99] })
		must(t, store.Create(t.Context(), newKey(home), request))
	}},
	{"a request that exceeds the quota does not use its ID", func(t *testing.T, store authsvc.Store) {
		request := newRequest()
		request.Quota.Bytes = 1
		expectExceeded(t, store.Create(t.Context(), newKey(home), request), "bytes", "1")
		request.Quota.Bytes = 0
		must(t, store.Create(t.Context(), newKey(home), request))
	}},
	{"concurrent requests do not exceed a quota together", withinQuota},
}

func limited(quota authsvc.Quota) authsvc.Request { return authsvc.Request{Quota: quota} }

// sizeOfNew returns the size of every new key.
func sizeOfNew() int64 {
	key := newKey(home)
	return key.Size()
}

// change is Update with a function that never fails.
func change(ctx context.Context, store authsvc.Store, key authsvc.Key, request authsvc.Request, apply func(*authsvc.Key)) error {
	_, err := store.Update(ctx, key.WorkspaceID, key.ID, request, func(k *authsvc.Key) error {
		apply(k)
		return nil
	})
	return err
}

// expectExceeded checks for the error of a quota. An empty value matches any.
func expectExceeded(t *testing.T, err error, limit, value string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Reason != fault.KeyQuotaExceeded || f.Metadata["limit"] != limit || value != "" && f.Metadata["value"] != value {
		t.Errorf("error %v, want the quota of %s, %s", err, limit, value)
	}
}

// withinQuota creates keys and makes them larger, on all replicas at once.
func withinQuota(t *testing.T, store authsvc.Store) {
	const room = 5
	size := sizeOfNew()
	first := created(t, store, home)
	var all sync.WaitGroup
	var keys, growths atomic.Int32
	for range 4 * room {
		all.Go(func() {
			count(t, &keys, store.Create(t.Context(), newKey(home), limited(authsvc.Quota{Keys: 1 + room})))
		})
	}
	all.Wait()
	expectEqual(t, "the number of keys created", int(keys.Load()), room)

	quota := authsvc.Quota{Bytes: (1+room)*size + room*(10+32)} // an agent of 10 bytes
	for range 4 * room {
		all.Go(func() {
			agent := uuid.NewString()[:10]
			count(t, &growths, change(t.Context(), store, first, limited(quota), func(k *authsvc.Key) {
				k.AgentIDs = append(k.AgentIDs, agent)
			}))
		})
	}
	all.Wait()
	expectEqual(t, "the number of agents added", int(growths.Load()), room)
	page, _, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Limit: 100})
	must(t, err)
	var bytes int64
	for _, key := range page {
		bytes += key.Size()
	}
	expectEqual(t, "the keys of the workspace", len(page), 1+room)
	expectEqual(t, "the bytes of the workspace", bytes, quota.Bytes)
}

// count counts a request that was not refused by its quota.
func count(t *testing.T, passed *atomic.Int32, err error) {
	if err == nil {
		passed.Add(1)
	} else if fault.KindOf(err) != fault.Exhausted {
		t.Error(err)
	}
}
