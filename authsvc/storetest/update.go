package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

var update = []statement{
	{"Update reads a key and applies change to it", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		updated(t, store, key, func(got *authsvc.Key) { expectEqual(t, "the argument of change", *got, key) })
	}},
	{"Update stores every field and returns the key as stored", everyField},
	{"Update stores the result with the next revision", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		created(t, store, other)
		before := newest(t, store)
		key = renamed(t, store, key, "new name")
		expectEqual(t, "the next revision", onlyChange(t, store, before), authsvc.Change{Revision: before + 1, Key: key})
	}},
	{"Update replaces the secrets, in their order", func(t *testing.T, store authsvc.Store) {
		key := rotated(t, store, rotated(t, store, created(t, store, home)))
		kept := key.Secrets[:2]
		updated(t, store, key, func(k *authsvc.Key) { k.Secrets = kept })
		key.Secrets = kept
		expectKey(t, store, key)
	}},
	{"concurrent updates never overwrite each other", noneLost},
	{"concurrent updates never lose a secret", noSecretLost},
	{"change gets a new copy: what it did before it failed is discarded", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		_, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(key *authsvc.Key) error {
			key.Name = "modified"
			modify(*key)
			return errRefused
		})
		expectError(t, "Update", err, errRefused)
		expectKey(t, store, key)
		expectNoChange(t, store, before)
	}},
	{"the store does not retain the copy that change gets", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		var kept *authsvc.Key
		stored := updated(t, store, key, func(k *authsvc.Key) { kept = k })
		kept.Name = "modified"
		modify(*kept)
		expectEqual(t, "the returned key", stored, key)
		modify(stored)
		expectKey(t, store, key)
	}},
	{"if change returns an error, Update returns that error", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		stored, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(*authsvc.Key) error { return errRefused })
		if err != errRefused {
			t.Errorf("error %v, want exactly %v", err, errRefused)
		}
		expectEqual(t, "the key returned with the error", stored, authsvc.Key{})
	}},
	{"Update returns ErrNotFound if there is no key, and does not call change", func(t *testing.T, store authsvc.Store) {
		deleted := created(t, store, home)
		must(t, store.Delete(t.Context(), home, deleted.ID, anyKey))
		for _, id := range []uuid.UUID{newKey(home).ID, deleted.ID} {
			_, err := store.Update(t.Context(), home, id, authsvc.Request{}, func(*authsvc.Key) error {
				t.Error("change was called")
				return nil
			})
			expectError(t, "Update", err, authsvc.ErrNotFound)
		}
	}},
	{"ID, WorkspaceID and CreateTime never change", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		stored := updated(t, store, key, func(k *authsvc.Key) {
			k.ID, k.WorkspaceID, k.CreateTime = newKey(home).ID, other, start.Add(time.Hour)
		})
		expectEqual(t, "the returned key", stored, key)
		expectKey(t, store, key)
	}},
}

var errRefused = errors.New("change refused")

// rotated adds a secret to a key in the store.
func rotated(t *testing.T, store authsvc.Store, key authsvc.Key) authsvc.Key {
	t.Helper()
	secret := newSecret(start)
	stored := updated(t, store, key, func(k *authsvc.Key) { k.Secrets = slices.Insert(k.Secrets, 0, secret) })
	key.Secrets = slices.Insert(slices.Clone(key.Secrets), 0, secret)
	expectEqual(t, "the rotated key", stored, key)
	return key
}

func everyField(t *testing.T, store authsvc.Store) {
	key := created(t, store, home)
	unrelated := created(t, store, home)
	want := newKey(home)
	want.ID, want.Name, want.Scopes, want.Disabled = key.ID, "new name", []string{"data_agent"}, true
	want.AllAgents, want.AgentIDs = true, nil
	want.Description, want.ExternalID, want.Metadata = "new description", "new owner", nil
	want.ExpireTime, want.UpdateTime = time.Time{}, start.Add(time.Minute)
	want.Secrets[0].ExpireTime = start.Add(24 * time.Hour)
	stored := updated(t, store, key, func(k *authsvc.Key) {
		*k = want
		k.AgentIDs = []string{}
		k.UpdateTime = want.UpdateTime.Add(time.Microsecond)
	})
	expectEqual(t, "the returned key", stored, want)
	expectKey(t, store, want)
	expectKey(t, store, unrelated)
}

func noneLost(t *testing.T, store authsvc.Store) {
	const writers = 16
	key := created(t, store, home)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			_, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(key *authsvc.Key) error {
				key.AgentIDs = append(key.AgentIDs, fmt.Sprintf("agent of writer %02d", i))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, err := store.Get(t.Context(), home, key.ID)
	must(t, err)
	for i := range writers {
		key.AgentIDs = append(key.AgentIDs, fmt.Sprintf("agent of writer %02d", i))
	}
	slices.Sort(key.AgentIDs)
	slices.Sort(got.AgentIDs)
	expectEqual(t, "the key after all updates", got, key)
}

// noSecretLost covers stores with a table of secrets: an update that waits for the lock of the key and then reads the
// secrets of before would write those again.
func noSecretLost(t *testing.T, store authsvc.Store) {
	key := created(t, store, home)
	var all sync.WaitGroup
	for range authsvc.MaxSecrets - 1 {
		all.Go(func() {
			secret := newSecret(start)
			_, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(key *authsvc.Key) error {
				key.Secrets = slices.Insert(key.Secrets, 0, secret)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got, err := store.Get(t.Context(), home, key.ID)
	must(t, err)
	expectEqual(t, "the number of secrets after all rotations", len(got.Secrets), authsvc.MaxSecrets)
}

var remove = []statement{
	{"Delete removes a key", func(t *testing.T, store authsvc.Store) {
		key, unrelated := created(t, store, home), created(t, store, home)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		expectNoKey(t, store, key)
		expectList(t, store, uuid.Nil, 100, []authsvc.Key{unrelated})
	}},
	{"Delete removes the key's secrets", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		// Digests are unique: a new key can have this one only if it was removed.
		successor := newKey(home)
		successor.Secrets = key.Secrets
		must(t, store.Create(t.Context(), successor, authsvc.Request{}))
		expectKey(t, store, successor)
	}},
	{"Delete calls check with the key; if check returns an error, Delete returns that error and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		err := store.Delete(t.Context(), home, key.ID, func(got *authsvc.Key) error {
			expectEqual(t, "the argument of check", *got, key)
			return errRefused
		})
		if err != errRefused {
			t.Errorf("error %v, want exactly %v", err, errRefused)
		}
		expectNoChange(t, store, before)
		expectKey(t, store, key)
	}},
	{"Delete takes the next revision", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		expectEqual(t, "the next revision", onlyChange(t, store, before).Revision, before+1)
	}},
	{"Delete returns ErrNotFound if there is no such key, and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		expectError(t, "Delete", store.Delete(t.Context(), home, newKey(home).ID, anyKey), authsvc.ErrNotFound)
		expectNoChange(t, store, before)
		expectKey(t, store, key)
	}},
	{"Delete returns ErrNotFound the second time and changes nothing", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		expectError(t, "Delete", store.Delete(t.Context(), home, key.ID, anyKey), authsvc.ErrNotFound)
		expectEqual(t, "the revision of the deletion", onlyChange(t, store, before).Revision, before+1)
	}},
}
