package pgtest_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var migrated atomic.Int32

func migrate(ctx context.Context, url string) error {
	migrated.Add(1)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE TABLE t (n int)`)
	return errors.Join(err, conn.Close(ctx))
}

func TestEachTestHasItsOwnClone(t *testing.T) {
	for range 2 {
		count(t, pgtest.Database(t, migrate), "t", 0)
	}
	if n := migrated.Load(); n != 1 {
		t.Errorf("migrated %d times", n)
	}
	count(t, pgtest.Database(t, nil), "pg_tables WHERE tablename = 't'", -1)
}

// count expects want rows in a table and adds one; with -1 it expects none and adds none.
func count(t *testing.T, url, table string, want int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	var found int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&found); err != nil || found != max(want, 0) {
		t.Errorf("%d rows, %v", found, err)
	}
	if want < 0 {
		return
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO `+table+` VALUES (1)`); err != nil {
		t.Error(err)
	}
}

// recorder is a test that records how it ended.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper()     {}
func (r *recorder) Skip(...any) { r.skipped = true }

func (r *recorder) Fatal(...any) { r.failed = true }

func TestMissingPostgresSkipsButNotInCI(t *testing.T) {
	for _, c := range []struct {
		ci   string
		err  error
		want recorder
	}{
		{"", nil, recorder{}},
		{"", pgserver.ErrNoBinaries, recorder{skipped: true}},
		{"true", pgserver.ErrNoBinaries, recorder{failed: true}},
		{"", errors.New("broken"), recorder{failed: true}},
	} {
		t.Setenv("CI", c.ci)
		var got recorder
		pgtest.Require(&got, c.err)
		if got != c.want {
			t.Errorf("CI=%q, error %v: %+v, want %+v", c.ci, c.err, got, c.want)
		}
	}
}
