package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/keytrail/keytrail/authsvc"
)

func TestOldPositionsAndDeletionsAreForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	store := open(t, path)
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	remove := func() authsvc.Position {
		key := newKey("acme")
		must(t, store.Create(t.Context(), key, authsvc.Request{}))
		must(t, store.Delete(t.Context(), "acme", key.ID, anyKey))
		newest, _, err := store.Newest(t.Context(), authsvc.Position{})
		must(t, err)
		return newest
	}
	first, last := remove(), remove()
	_, err = db.ExecContext(t.Context(), `UPDATE history SET time = time - 25 * 3600`)
	must(t, err)

	// The newest position stays, however old it is: the keyring is there.
	newest := remove()
	for since, want := range map[authsvc.Position]bool{first: false, last: true, newest: true} {
		_, follows, err := store.Newest(t.Context(), since)
		must(t, err)
		if follows != want {
			t.Errorf("the position %d can be followed: %v", since.Revision, follows)
		}
	}
	var deleted int
	must(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM keys WHERE deleted = 1`).Scan(&deleted))
	equal(t, deleted, 1)
}
