package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// Most tests happen in one workspace, and need a second one only as the place where things must not happen.
const (
	home  = "acme"
	other = "globex"
)

// start is the time of the fixtures: far from now, so that no store's own clock can pass for it.
var start = time.Date(2024, time.February, 29, 23, 59, 58, 7e6, time.UTC)

// newKey makes a key with something in every field but Disabled and AllAgents.
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

// created makes a key and stores it.
func created(t *testing.T, store authsvc.Store, workspaceID string) authsvc.Key {
	t.Helper()
	key := newKey(workspaceID)
	must(t, store.Create(t.Context(), key, authsvc.Request{}))
	return key
}

// createdMany makes keys and stores them, the highest ID first.
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

// anyKey is the check of a deletion that does not care.
func anyKey(*authsvc.Key) error { return nil }

// renamed gives a key another name in the store.
func renamed(t *testing.T, store authsvc.Store, key authsvc.Key, name string) authsvc.Key {
	t.Helper()
	stored, err := store.Update(t.Context(), key.WorkspaceID, key.ID, authsvc.Request{}, rename(name))
	must(t, err)
	return stored
}

func rename(name string) func(*authsvc.Key) error {
	return func(key *authsvc.Key) error {
		key.Name = name
		return nil
	}
}

// changesSince collects what Changes applies.
func changesSince(t *testing.T, store authsvc.Store, since authsvc.Revision) []authsvc.Change {
	t.Helper()
	var all []authsvc.Change
	must(t, store.Changes(t.Context(), since, func(c authsvc.Change) error {
		all = append(all, c)
		return nil
	}))
	return all
}

// newest is the highest revision of any key that is there.
func newest(t *testing.T, store authsvc.Store) authsvc.Revision {
	t.Helper()
	var newest authsvc.Revision
	for _, c := range changesSince(t, store, 0) {
		newest = max(newest, c.Revision)
	}
	return newest
}

// ids are the IDs of keys, in their order.
func ids(keys []authsvc.Key) []uuid.UUID {
	ids := make([]uuid.UUID, len(keys))
	for i, key := range keys {
		ids[i] = key.ID
	}
	return ids
}
