package storetest

import (
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

var history = []statement{
	{"Newest returns the newest position", func(t *testing.T, store authsvc.Store) {
		expectEqual(t, "the revision of a new store", newestPosition(t, store).Revision, authsvc.Revision(0))
		seen := map[uuid.UUID]bool{}
		key := created(t, store, home)
		key = renamed(t, store, key, "renamed")
		must(t, store.Delete(t.Context(), home, key.ID, anyKey))
		for range 2 {
			position := newestPosition(t, store)
			expectEqual(t, "the revision after three changes", position.Revision, authsvc.Revision(3))
			seen[position.Mark] = true
		}
		expectEqual(t, "marks of one position", len(seen), 1)
	}},
	{"every position that was the newest one can be followed", func(t *testing.T, store authsvc.Store) {
		positions := []authsvc.Position{newestPosition(t, store)}
		for range 3 {
			created(t, store, home)
			positions = append(positions, newestPosition(t, store))
		}
		for _, position := range positions {
			expectFollows(t, store, position, true)
		}
	}},
	{"a position of another history cannot be followed", func(t *testing.T, store authsvc.Store) {
		createdMany(t, store, home, 2)
		expectFollows(t, store, authsvc.Position{}, false)
		other := newestPosition(t, store)
		other.Mark[0]++
		expectFollows(t, store, other, false)
		ahead := newestPosition(t, store)
		ahead.Revision++
		expectFollows(t, store, ahead, false)
	}},
	{"a change that fails makes no position", func(t *testing.T, store authsvc.Store) {
		before := newestPosition(t, store)
		expectError(t, "Delete", store.Delete(t.Context(), home, uuid.New(), anyKey), authsvc.ErrNotFound)
		expectEqual(t, "the newest position", newestPosition(t, store), before)
	}},
}

func newestPosition(t *testing.T, store authsvc.Store) authsvc.Position {
	t.Helper()
	newest, _, err := store.Newest(t.Context(), authsvc.Position{})
	must(t, err)
	if newest.Mark == uuid.Nil {
		t.Errorf("the position %+v has no mark", newest)
	}
	return newest
}

func expectFollows(t *testing.T, store authsvc.Store, since authsvc.Position, want bool) {
	t.Helper()
	_, follows, err := store.Newest(t.Context(), since)
	must(t, err)
	if follows != want {
		t.Errorf("the position %+v can be followed: %v", since, follows)
	}
}
