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

var requests = []statement{
	{"a request ID that Create has used is refused by Create, names the key and changes nothing", func(t *testing.T, store authsvc.Store) {
		request, key := newRequest(), newKey(home)
		must(t, store.Create(t.Context(), key, request))
		before, again := newest(t, store), newKey(home)
		used(t, store.Create(t.Context(), again, request), key)
		quiet(t, store, before)
		lacks(t, store, again)
	}},
	{"a request ID that Create has used is refused by Update, names the key and changes nothing", func(t *testing.T, store authsvc.Store) {
		request, key, target := newRequest(), newKey(home), created(t, store, home)
		must(t, store.Create(t.Context(), key, request))
		before := newest(t, store)
		_, err := store.Update(t.Context(), home, target.ID, request, rename("new name"))
		used(t, err, key)
		quiet(t, store, before)
		holds(t, store, target)
	}},
	{"a request ID that Update has used is refused by Update and by Create", func(t *testing.T, store authsvc.Store) {
		request, key := newRequest(), created(t, store, home)
		_, err := store.Update(t.Context(), home, key.ID, request, rename("new name"))
		must(t, err)
		_, err = store.Update(t.Context(), home, key.ID, request, rename("newer name"))
		used(t, err, key)
		used(t, store.Create(t.Context(), newKey(home), request), key)
	}},
	{"a request ID is used for RequestLife, and then free again", func(t *testing.T, store authsvc.Store) {
		request, first, second := newRequest(), newKey(home), newKey(home)
		must(t, store.Create(t.Context(), first, request))
		request.Time = start.Add(authsvc.RequestLife - time.Millisecond)
		used(t, store.Create(t.Context(), second, request), first)
		request.Time = start.Add(authsvc.RequestLife)
		must(t, store.Create(t.Context(), second, request))
		used(t, store.Create(t.Context(), newKey(home), request), second)
	}},
	{"a request ID is used in its workspace only", func(t *testing.T, store authsvc.Store) {
		request := newRequest()
		must(t, store.Create(t.Context(), newKey(home), request))
		must(t, store.Create(t.Context(), newKey(other), request))
	}},
	{"a request ID stays used when its key is deleted", func(t *testing.T, store authsvc.Store) {
		request, key := newRequest(), newKey(home)
		must(t, store.Create(t.Context(), key, request))
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		used(t, store.Create(t.Context(), newKey(home), request), key)
	}},
	{"where the update fails its request ID is not used", func(t *testing.T, store authsvc.Store) {
		request, key := newRequest(), created(t, store, home)
		refuse := errors.New("no")
		_, err := store.Update(t.Context(), home, key.ID, request, func(*authsvc.Key) error { return refuse })
		wantError(t, "Update", err, refuse)
		_, err = store.Update(t.Context(), home, newKey(home).ID, request, rename("of nothing"))
		wantError(t, "Update", err, authsvc.ErrNotFound)
		_, err = store.Update(t.Context(), home, key.ID, request, rename("new name"))
		must(t, err)
	}},
	{"of two requests of one ID at once one is carried out", onlyOne},
}

func newRequest() authsvc.Request { return authsvc.Request{ID: uuid.New(), Time: start} }

// used expects the error of a request that was carried out on the key.
func used(t *testing.T, err error, key authsvc.Key) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Reason != fault.RequestIDUsed || f.Metadata["key_id"] != key.ID.String() {
		t.Errorf("error %v, want that the request was used for the key %s", err, key.ID)
	}
}

func onlyOne(t *testing.T, store authsvc.Store) {
	request := newRequest()
	var all sync.WaitGroup
	var made atomic.Int32
	for range 8 {
		all.Go(func() {
			err := store.Create(t.Context(), newKey(home), request)
			if err == nil {
				made.Add(1)
			} else if fault.KindOf(err) != fault.AlreadyExists {
				t.Error(err)
			}
		})
	}
	all.Wait()
	equal(t, "how many were carried out", int(made.Load()), 1)
	equal(t, "how many keys there are", len(changesSince(t, store, 0)), 1)
}
