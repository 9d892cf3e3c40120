package postgres_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

func TestOldPositionsAndDeletionsAreForgotten(t *testing.T) {
	t.Parallel()
	url := database(t)
	store, db := open(t, url), connect(t, url)
	position := func() authsvc.Position {
		newest, _, err := store.Newest(t.Context(), authsvc.Position{})
		must(t, err)
		return newest
	}
	rows := func(from string) (n int) {
		must(t, db.QueryRow(t.Context(), `SELECT count(*) FROM keytrail_auth.`+from).Scan(&n))
		return n
	}
	remove := func() {
		key := newKey("acme")
		must(t, store.Create(t.Context(), key, authsvc.Request{}))
		must(t, store.Delete(t.Context(), "acme", key.ID, anyKey))
	}
	remove()
	first := position()
	remove()
	last := position()
	_, err := db.Exec(t.Context(), `UPDATE keytrail_auth.history SET time = time - interval '25 hours'`)
	must(t, err)

	// The newest position stays, however old it is: every replica is there.
	remove()
	for since, want := range map[authsvc.Position]bool{first: false, last: true, position(): true} {
		_, follows, err := store.Newest(t.Context(), since)
		must(t, err)
		if follows != want {
			t.Errorf("the position %d can be followed: %v", since.Revision, follows)
		}
	}
	equal(t, rows("keys WHERE deleted"), 1)
	equal(t, len(changesSince(t, store, last.Revision)), 1)

	// A backlog is forgotten in steps.
	_, err = db.Exec(t.Context(), fmt.Sprintf(`UPDATE keytrail_auth.history SET time = time - interval '25 hours';
		INSERT INTO keytrail_auth.history (revision, time) SELECT n, now() - interval '26 hours' FROM generate_series(-250, -1) n;
		INSERT INTO keytrail_auth.keys (workspace_id, id, revision, deleted, name, name_lower, description, external_id,
			metadata, scopes, all_agents, agent_ids, disabled) SELECT workspace_id, gen_random_uuid(), n, deleted, name, name_lower,
			description, external_id, metadata, scopes, all_agents, agent_ids, disabled FROM keytrail_auth.keys, generate_series(-250, -1) n WHERE id = '%s'`, deletedID(t, store)))
	must(t, err)
	for _, left := range [][2]int{{154, 151}, {55, 51}, {4, 0}, {5, 0}} {
		must(t, store.Create(t.Context(), newKey("acme"), authsvc.Request{}))
		equal(t, [2]int{rows("history"), rows("keys WHERE deleted")}, left)
	}
}

// deletedID returns the id of the only deleted key.
func deletedID(t *testing.T, store authsvc.Store) (id uuid.UUID) {
	t.Helper()
	must(t, store.Changes(t.Context(), 1, func(c authsvc.Change) error {
		if c.Deleted {
			id = c.Key.ID
		}
		return nil
	}))
	return id
}
