package storetest

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

var whole = []statement{
	{"a new store is empty", func(t *testing.T, store authsvc.Store) {
		lists(t, store, uuid.Nil, 100, nil)
		quiet(t, store, 0)
	}},
	{"its methods may be called concurrently", func(t *testing.T, store authsvc.Store) {
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { writeMuch(t, store, home, func() {}) })
			all.Go(func() { readMuch(t, store) })
		}
		all.Wait()
		equal(t, "the number of keys left", len(everything(t, store)), 3*ofOneWriter*2/3)
	}},
	{"keys of another workspace are as good as absent", isolated},
	{"a cancelled context ends every method, without an effect", cancelled},
}

func readMuch(t *testing.T, store authsvc.Store) {
	for range ofOneWriter {
		keys, err := store.List(t.Context(), authsvc.KeyQuery{WorkspaceID: home, Before: uuid.Nil, Limit: 10})
		if err == nil {
			err = store.Changes(t.Context(), 0, func(authsvc.Change) error { return nil })
		}
		if err != nil {
			t.Error(err)
			return
		}
		for _, key := range keys {
			equal(t, "the secrets of a key", len(key.Secrets), 1)
		}
	}
}

func isolated(t *testing.T, store authsvc.Store) {
	mine, theirs := created(t, store, home), created(t, store, other)
	equal(t, "the names of both", mine.Name, theirs.Name)
	before := newest(t, store)

	_, err := store.Get(t.Context(), home, theirs.ID)
	wantError(t, "Get", err, authsvc.ErrNotFound)
	_, err = store.Update(t.Context(), home, theirs.ID, authsvc.Request{}, rename("stolen"))
	wantError(t, "Update", err, authsvc.ErrNotFound)
	wantError(t, "Delete", store.Delete(t.Context(), home, theirs.ID, anyKey), authsvc.ErrNotFound)
	lists(t, store, uuid.Nil, 100, []authsvc.Key{mine})

	quiet(t, store, before)
	holds(t, store, theirs)
}

func cancelled(t *testing.T, store authsvc.Store) {
	key := created(t, store, home)
	before := newest(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	wantError(t, "Create", store.Create(ctx, newKey(home), authsvc.Request{}), context.Canceled)
	_, err := store.Get(ctx, home, key.ID)
	wantError(t, "Get", err, context.Canceled)
	_, err = store.List(ctx, authsvc.KeyQuery{WorkspaceID: home, Before: uuid.Nil, Limit: 1})
	wantError(t, "List", err, context.Canceled)
	_, err = store.Update(ctx, home, key.ID, authsvc.Request{}, rename("too late"))
	wantError(t, "Update", err, context.Canceled)
	wantError(t, "Delete", store.Delete(ctx, home, key.ID, anyKey), context.Canceled)
	wantError(t, "Changes", store.Changes(ctx, 0, func(authsvc.Change) error { return nil }), context.Canceled)
	_, err = store.TokenKey(ctx)
	wantError(t, "TokenKey", err, context.Canceled)

	quiet(t, store, before)
	holds(t, store, key)
}
