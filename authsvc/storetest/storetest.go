// Package storetest states the contract of authsvc.Store: every sentence of it is a subtest, and every store runs all of
// them. Only tests import it.
package storetest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

// A statement is a sentence of the contract with its check on a new, empty store.
type statement struct {
	sentence string
	check    func(t *testing.T, store authsvc.Store)
}

// Test checks a store against the contract. open returns a new, empty store and closes it when its test ends. For a store
// that replicas share, open should return one that distributes its calls over two replicas. The tests of each store must
// check that effects are durable, because only they can reopen it.
func Test(t *testing.T, open func(t *testing.T) authsvc.Store) {
	statements := slices.Concat(whole, create, get, list, filters, update, requests, quotas, remove, changes, follow, history, tokenKey)
	for _, s := range statements {
		t.Run(s.sentence, func(t *testing.T) {
			t.Parallel()
			s.check(t, open(t))
		})
	}
	// It measures, so it does not run in parallel.
	t.Run("List does not read the allowlists of keys that it does not return", func(t *testing.T) { readsOnePage(t, open(t)) })
}

var whole = []statement{
	{"a new store is empty", func(t *testing.T, store authsvc.Store) {
		expectList(t, store, uuid.Nil, 100, nil)
		expectNoChange(t, store, 0)
	}},
	{"methods are safe for concurrent use", func(t *testing.T, store authsvc.Store) {
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { writeMuch(t, store, home, func() {}) })
			all.Go(func() { readMuch(t, store) })
		}
		all.Wait()
		expectEqual(t, "the number of keys left", len(allKeys(t, store)), 3*keysPerWriter*2/3)
	}},
	{"a key of another workspace is treated as absent", isolated},
	{"a cancelled context ends every method without an effect", cancelled},
}

func readMuch(t *testing.T, store authsvc.Store) {
	for range keysPerWriter {
		keys, _, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Before: uuid.Nil, Limit: 10})
		if err == nil {
			err = store.Changes(t.Context(), 0, func(authsvc.Change) error { return nil })
		}
		if err != nil {
			t.Error(err)
			return
		}
		for _, key := range keys {
			expectEqual(t, "the secrets of a key", len(key.Secrets), 1)
		}
	}
}

func isolated(t *testing.T, store authsvc.Store) {
	mine, theirs := created(t, store, home), created(t, store, other)
	expectEqual(t, "the names of both", mine.Name, theirs.Name)
	before := newest(t, store)

	_, err := store.Get(t.Context(), home, theirs.ID)
	expectError(t, "Get", err, authsvc.ErrNotFound)
	_, err = store.Update(t.Context(), home, theirs.ID, authsvc.Request{}, rename("stolen"))
	expectError(t, "Update", err, authsvc.ErrNotFound)
	expectError(t, "Delete", store.Delete(t.Context(), home, theirs.ID, anyKey), authsvc.ErrNotFound)
	expectList(t, store, uuid.Nil, 100, []authsvc.Key{mine})

	expectNoChange(t, store, before)
	expectKey(t, store, theirs)
}

func cancelled(t *testing.T, store authsvc.Store) {
	key := created(t, store, home)
	before := newest(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	expectError(t, "Create", store.Create(ctx, newKey(home), authsvc.Request{}), context.Canceled)
	_, err := store.Get(ctx, home, key.ID)
	expectError(t, "Get", err, context.Canceled)
	_, _, err = store.List(ctx, authsvc.KeyQuery{WorkspaceID: home, Before: uuid.Nil, Limit: 1})
	expectError(t, "List", err, context.Canceled)
	_, err = store.Update(ctx, home, key.ID, authsvc.Request{}, rename("too late"))
	expectError(t, "Update", err, context.Canceled)
	expectError(t, "Delete", store.Delete(ctx, home, key.ID, anyKey), context.Canceled)
	expectError(t, "Changes", store.Changes(ctx, 0, func(authsvc.Change) error { return nil }), context.Canceled)
	_, _, err = store.ChangesSince(ctx, authsvc.Position{}, func(authsvc.Change) error { return nil })
	expectError(t, "ChangesSince", err, context.Canceled)
	_, _, err = store.Newest(ctx, authsvc.Position{})
	expectError(t, "Newest", err, context.Canceled)
	_, err = store.TokenKey(ctx)
	expectError(t, "TokenKey", err, context.Canceled)

	expectNoChange(t, store, before)
	expectKey(t, store, key)
}

var tokenKey = []statement{
	{"TokenKey returns 32 random bytes", func(t *testing.T, store authsvc.Store) {
		key, err := store.TokenKey(t.Context())
		must(t, err)
		expectEqual(t, "length", len(key), 32)
		if bytes.Equal(key, make([]byte, len(key))) {
			t.Error("the token key is all zeros")
		}
	}},
	{"TokenKey never changes", func(t *testing.T, store authsvc.Store) {
		first, err := store.TokenKey(t.Context())
		must(t, err)
		want := bytes.Clone(first)
		clear(first)
		created(t, store, home)
		again, err := store.TokenKey(t.Context())
		must(t, err)
		expectEqual(t, "the token key", again, want)
	}},
	{"TokenKey is the same for every replica, also when all ask first", func(t *testing.T, store authsvc.Store) {
		var keys [16][]byte
		var all sync.WaitGroup
		for i := range keys {
			all.Go(func() {
				var err error
				if keys[i], err = store.TokenKey(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, key := range keys {
			expectEqual(t, "the token key", key, keys[0])
		}
	}},
}
