package pgdb_test

import (
	"maps"
	"testing"

	"github.com/keytrail/keytrail/internal/pgdb"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// TestMigrationThatWaitsForALockLetsOthersPass migrates a table that a transaction reads. Sessions that queue behind the
// migration go on while it is still trying, and it succeeds when the transaction ends.
func TestMigrationThatWaitsForALockLetsOthersPass(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, nil)
	pool := open(t, url, "mine")
	more := maps.Clone(migrations)
	more["00004_four.sql"] = file("INSERT INTO two VALUES (4);\nALTER TABLE one ADD COLUMN m int;")
	holder := connect(t, url)
	tx, err := holder.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM mine.one`)
	must(t, err)
	migrated := make(chan error, 1)
	go func() {
		pool, err := pgdb.Open(t.Context(), url, "mine", more)
		if err == nil {
			pool.Close()
		}
		migrated <- err
	}()
	admin := connect(t, url)
	for range 3 {
		await(t, admin, `SELECT EXISTS (SELECT FROM pg_locks
			WHERE relation = 'mine.one'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted)`)
		expect(t, pool, `SELECT count(*)::text FROM one`, "1")
		select {
		case err := <-migrated:
			t.Fatalf("the migration ended while the table was locked: %v", err)
		default:
		}
	}
	must(t, tx.Rollback(t.Context()))
	if err := <-migrated; err != nil {
		t.Errorf("the migration failed: %v", err)
	}
	expect(t, pool, `SELECT string_agg(n::text, ',' ORDER BY n) FROM two`, "2,3,4") // each failed attempt is rolled back
	expect(t, pool, `SELECT count(m)::text FROM one`, "0")
}
