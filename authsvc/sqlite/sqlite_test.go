package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/authsvc/storetest"
	"github.com/keytrail/keytrail/internal/uuid7"
)

func TestStore(t *testing.T) {
	storetest.Test(t, func(t *testing.T) authsvc.Store {
		return open(t, filepath.Join(t.TempDir(), "keys.db"))
	})
}

func TestReopenedStoreHoldsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	store := open(t, path)
	kept, deleted := newKey("acme"), newKey("acme")
	must(t, store.Create(t.Context(), kept, authsvc.Request{}))
	must(t, store.Create(t.Context(), deleted, authsvc.Request{}))
	must(t, store.Delete(t.Context(), "acme", deleted.ID, anyKey))
	tokenKey, err := store.TokenKey(t.Context())
	must(t, err)
	// The first store is still open: the effects must be durable before Close.
	again := open(t, path)

	want := []authsvc.Change{{Revision: 1, Key: kept}, {Revision: 3, Key: authsvc.Key{ID: deleted.ID}, Deleted: true}}
	key, err := again.Get(t.Context(), "acme", kept.ID)
	must(t, err)
	equal(t, key, want[0].Key)
	must(t, again.Changes(t.Context(), 1, func(c authsvc.Change) error {
		equal(t, c, want[1])
		return nil
	}))
	sameKey, err := again.TokenKey(t.Context())
	must(t, err)
	equal(t, sameKey, tokenKey)
}

func TestDigestIsUniqueAcrossWorkspaces(t *testing.T) {
	store := open(t, filepath.Join(t.TempDir(), "keys.db"))
	mine, theirs := newKey("acme"), newKey("globex")
	theirs.Secrets = mine.Secrets
	must(t, store.Create(t.Context(), mine, authsvc.Request{}))
	if err := store.Create(t.Context(), theirs, authsvc.Request{}); err == nil {
		t.Error("one secret leads to two keys")
	}
}

func TestTombstoneHoldsNothingPersonal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	store := open(t, path)
	key := newKey("acme")
	must(t, store.Create(t.Context(), key, authsvc.Request{}))
	must(t, store.Delete(t.Context(), "acme", key.ID, anyKey))

	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	var row string
	must(t, db.QueryRowContext(t.Context(), `SELECT json_array(name, name_lower, description, external_id, metadata, scopes, all_agents, agent_ids, disabled,
		expire_time, create_time, update_time, (SELECT count(*) FROM secrets)) FROM keys`).Scan(&row))
	equal(t, row, `["","","","","","[]",0,"[]",0,null,null,null,0]`)
}

func TestWaitForTheWriterEndsWithTheContext(t *testing.T) {
	store := open(t, filepath.Join(t.TempDir(), "keys.db"))
	key := newKey("acme")
	must(t, store.Create(t.Context(), key, authsvc.Request{}))
	_, err := store.Update(t.Context(), "acme", key.ID, authsvc.Request{}, func(*authsvc.Key) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := store.Create(ctx, newKey("acme"), authsvc.Request{}); err == nil {
			t.Error("two writes at once")
		}
		return nil
	})
	must(t, err)
}

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

func newKey(workspaceID string) authsvc.Key {
	now, secret := time.Now().UTC().Truncate(time.Millisecond), authsvc.NewSecret()
	return authsvc.Key{
		ID: uuid7.New(now), WorkspaceID: workspaceID, Name: "name", Description: "d", ExternalID: "e",
		Metadata: map[string]string{"k": "v"}, Scopes: []string{"agent"}, AgentIDs: []string{"a"},
		ExpireTime: now, CreateTime: now, UpdateTime: now, Disabled: true,
		Secrets: []authsvc.Secret{{Digest: secret.Digest(), Last4: secret.Last4(), CreateTime: now}},
	}
}

// anyKey is a check for Delete that accepts every key.
func anyKey(*authsvc.Key) error { return nil }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
