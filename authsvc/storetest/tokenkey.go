package storetest

import (
	"bytes"
	"sync"
	"testing"

	"github.com/keytrail/keytrail/authsvc"
)

var tokenKey = []statement{
	{"TokenKey answers 32 bytes, made at random", func(t *testing.T, store authsvc.Store) {
		key, err := store.TokenKey(t.Context())
		must(t, err)
		equal(t, "length", len(key), 32)
		if bytes.Equal(key, make([]byte, len(key))) {
			t.Error("the token key is all zeros")
		}
	}},
	{"TokenKey answers the same for ever", func(t *testing.T, store authsvc.Store) {
		first, err := store.TokenKey(t.Context())
		must(t, err)
		want := bytes.Clone(first)
		clear(first)
		created(t, store, home)
		again, err := store.TokenKey(t.Context())
		must(t, err)
		equal(t, "the token key", again, want)
	}},
	{"TokenKey answers the same for every replica, also when all ask first", func(t *testing.T, store authsvc.Store) {
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
			equal(t, "the token key", key, keys[0])
		}
	}},
}
