package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// Most tests use one workspace. The other one is where nothing must happen.
const (
	home  = "acme"
	other = "globex"
)

// start is the time of the fixtures. It is far from now, so that a test notices a store that uses its own clock.
var start = time.Date(2024, time.February, 29, 23, 59, 58, 7e6, time.UTC)

// newKey returns a key with a value in every field except Disabled and AllAgents.
func newKey(workspaceID string) authsvc.Key {
	return authsvc.Key{
		ID:          uuid7.New(time.Now()),
		WorkspaceID: workspaceID,
		Name:        `Zoë's "key", <b>&amp;</b> \ 鍵`,
		Description: `for "Zoë", <i>&</i> \\ 鍵`,
		ExternalID:  `customer "7" \\ 鍵`,
		Metadata:    map[string]string{"plan": `"gold" \\ 鍵`, "empty": ""},
		Scopes:      []string{"voice_agent", "agent"},
		AgentIDs:    []string{"agent-2", "agent, one"},
		ExpireTime:  start.Add(time.Hour),
		CreateTime:  start,
		UpdateTime:  start.Add(time.Second),
		Secrets:     []authsvc.Secret{newSecret(start)},
	}
}

func newSecret(created time.Time) authsvc.Secret {
	plain := authsvc.NewSecret()
	return authsvc.Secret{Digest: plain.Digest(), Last4: plain.Last4(), CreateTime: created}
}

// created stores a new key.
func created(t *testing.T, store authsvc.Store, workspaceID string) authsvc.Key {
	t.Helper()
	key := newKey(workspaceID)
	must(t, store.Create(t.Context(), key, authsvc.Request{}))
	return key
}

// createdMany stores new keys and returns them by descending ID.
func createdMany(t *testing.T, store authsvc.Store, workspaceID string, n int) []authsvc.Key {
	t.Helper()
	keys := make([]authsvc.Key, n)
	for i := range keys {
		keys[i] = newKey(workspaceID)
		keys[i].ID = uuid7.New(start.Add(-time.Duration(i) * time.Hour))
		keys[i].Name = fmt.Sprint("key ", i)
		must(t, store.Create(t.Context(), keys[i], authsvc.Request{}))
	}
	return keys
}

// anyKey is a check for Delete that accepts every key.
func anyKey(*authsvc.Key) error { return nil }

// updated applies a change to a key in the store.
func updated(t *testing.T, store authsvc.Store, key authsvc.Key, change func(*authsvc.Key)) authsvc.Key {
	t.Helper()
	stored, err := store.Update(t.Context(), key.WorkspaceID, key.ID, authsvc.Request{}, func(k *authsvc.Key) error {
		change(k)
		return nil
	})
	must(t, err)
	return stored
}

func renamed(t *testing.T, store authsvc.Store, key authsvc.Key, name string) authsvc.Key {
	t.Helper()
	return updated(t, store, key, func(k *authsvc.Key) { k.Name = name })
}

func rename(name string) func(*authsvc.Key) error {
	return func(key *authsvc.Key) error {
		key.Name = name
		return nil
	}
}

// changesSince returns the changes after a revision.
func changesSince(t *testing.T, store authsvc.Store, since authsvc.Revision) []authsvc.Change {
	t.Helper()
	var all []authsvc.Change
	must(t, store.Changes(t.Context(), since, func(c authsvc.Change) error {
		all = append(all, c)
		return nil
	}))
	return all
}

// newest returns the highest revision of the keys in the store.
func newest(t *testing.T, store authsvc.Store) authsvc.Revision {
	t.Helper()
	var newest authsvc.Revision
	for _, c := range changesSince(t, store, 0) {
		newest = max(newest, c.Revision)
	}
	return newest
}

func ids(keys []authsvc.Key) []uuid.UUID {
	ids := make([]uuid.UUID, len(keys))
	for i, key := range keys {
		ids[i] = key.ID
	}
	return ids
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expectEqual compares exactly: an empty slice is not nil.
func expectEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func expectError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// expectKey checks that the store has exactly this key.
func expectKey(t *testing.T, store authsvc.Store, want authsvc.Key) {
	t.Helper()
	got, err := store.Get(t.Context(), want.WorkspaceID, want.ID)
	must(t, err)
	expectEqual(t, "Get", got, want)
}

// expectNoKey checks that the store does not have the key.
func expectNoKey(t *testing.T, store authsvc.Store, key authsvc.Key) {
	t.Helper()
	got, err := store.Get(t.Context(), key.WorkspaceID, key.ID)
	expectError(t, "Get", err, authsvc.ErrNotFound)
	expectEqual(t, "the key returned with the error", got, authsvc.Key{})
}

// expectNoChange checks that nothing changed after the revision since.
func expectNoChange(t *testing.T, store authsvc.Store, since authsvc.Revision) {
	t.Helper()
	if all := changesSince(t, store, since); len(all) > 0 {
		t.Errorf("%d changes after revision %d, want none: %+v", len(all), since, all)
	}
}

// onlyChange returns the only change after the revision since.
func onlyChange(t *testing.T, store authsvc.Store, since authsvc.Revision) authsvc.Change {
	t.Helper()
	all := changesSince(t, store, since)
	if len(all) != 1 {
		t.Fatalf("%d changes after revision %d, want 1: %+v", len(all), since, all)
	}
	return all[0]
}
