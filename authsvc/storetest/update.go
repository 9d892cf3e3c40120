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
	{"Update reads a key and lets change alter it", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		_, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(got *authsvc.Key) error {
			equal(t, "the key that change sees", *got, key)
			return nil
		})
		must(t, err)
	}},
	{"Update stores every field and answers the key as stored", everyField},
	{"Update stores the result with the next revision", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		created(t, store, other)
		before := newest(t, store)
		key = renamed(t, store, key, "new name")
		equal(t, "the next revision", onlyChange(t, store, before), authsvc.Change{Revision: before + 1, Key: key})
	}},
	{"Update replaces the secrets, in their order", func(t *testing.T, store authsvc.Store) {
		key := rotated(t, store, rotated(t, store, created(t, store, home)))
		kept := key.Secrets[:2]
		_, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(key *authsvc.Key) error {
			key.Secrets = kept
			return nil
		})
		must(t, err)
		key.Secrets = kept
		holds(t, store, key)
	}},
	{"two updates at once never lose one", noneLost},
	{"two updates at once never lose a secret", noSecretLost},
	{"change gets a fresh copy: what it did before it failed is forgotten", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		before := newest(t, store)
		_, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(key *authsvc.Key) error {
			key.Name = "scribble"
			scribble(*key)
			return errRefused
		})
		wantError(t, "Update", err, errRefused)
		holds(t, store, key)
		quiet(t, store, before)
	}},
	{"what change keeps of its copy is not the store's", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		var kept *authsvc.Key
		stored, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(key *authsvc.Key) error {
			kept = key
			return nil
		})
		must(t, err)
		kept.Name = "scribble"
		scribble(*kept)
		equal(t, "the answer", stored, key)
		scribble(stored)
		holds(t, store, key)
	}},
	{"an error of change ends it, as it is", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		stored, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(*authsvc.Key) error { return errRefused })
		if err != errRefused {
			t.Errorf("error %v, want exactly %v", err, errRefused)
		}
		equal(t, "the key beside the error", stored, authsvc.Key{})
	}},
	{"Update answers ErrNotFound where there is no key, and does not call change", func(t *testing.T, store authsvc.Store) {
		deleted := created(t, store, home)
		must(t, store.Delete(t.Context(), home, deleted.ID, anyKey))
		for _, id := range []uuid.UUID{newKey(home).ID, deleted.ID} {
			_, err := store.Update(t.Context(), home, id, authsvc.Request{}, func(*authsvc.Key) error {
				t.Error("change was called")
				return nil
			})
			wantError(t, "Update", err, authsvc.ErrNotFound)
		}
	}},
	{"ID, WorkspaceID and CreateTime never change", func(t *testing.T, store authsvc.Store) {
		key := created(t, store, home)
		stored, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(key *authsvc.Key) error {
			key.ID, key.WorkspaceID, key.CreateTime = newKey(home).ID, other, start.Add(time.Hour)
			return nil
		})
		must(t, err)
		equal(t, "the answer", stored, key)
		holds(t, store, key)
	}},
}

var errRefused = errors.New("change refused")

// rotated gives the key one more secret in the store.
func rotated(t *testing.T, store authsvc.Store, key authsvc.Key) authsvc.Key {
	t.Helper()
	secret := newSecret(start)
	stored, err := store.Update(t.Context(), key.WorkspaceID, key.ID, authsvc.Request{}, func(key *authsvc.Key) error {
		key.Secrets = slices.Insert(key.Secrets, 0, secret)
		return nil
	})
	must(t, err)
	key.Secrets = slices.Insert(slices.Clone(key.Secrets), 0, secret)
	equal(t, "the rotated key", stored, key)
	return key
}

func everyField(t *testing.T, store authsvc.Store) {
	key := created(t, store, home)
	bystander := created(t, store, home)
	want := newKey(home)
	want.ID, want.Name, want.Scopes, want.Disabled = key.ID, "new name", []string{"data_agent"}, true
	want.AllAgents, want.AgentIDs = true, nil
	want.Description, want.ExternalID, want.Metadata = "new description", "new owner", nil
	want.ExpireTime, want.UpdateTime = time.Time{}, start.Add(time.Minute)
	want.Secrets[0].ExpireTime = start.Add(24 * time.Hour)
	stored, err := store.Update(t.Context(), home, key.ID, authsvc.Request{}, func(key *authsvc.Key) error {
		*key = want
		key.AgentIDs = []string{}
		key.UpdateTime = want.UpdateTime.Add(time.Microsecond)
		return nil
	})
	must(t, err)
	equal(t, "the answer", stored, want)
	holds(t, store, want)
	holds(t, store, bystander)
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
	equal(t, "the key after all updates", got, key)
}

// noSecretLost is of its own because secrets may be kept apart from their key: who waited for the key and then
// finds the secrets of before the wait would write those.
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
	equal(t, "the number of secrets after all rotations", len(got.Secrets), authsvc.MaxSecrets)
}
