package migrate_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/cli/migrate"
	"github.com/keytrail/keytrail/trail"
	"github.com/keytrail/keytrail/trail/wal"
)

func TestSourceInUseIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(f *fixture)
		want    string
	}{
		"a process has the trail open": {func(f *fixture) {
			lock, err := trail.LockEmpty(filepath.Join(f.dir, "trail"), quiet)
			f.must(err)
			f.Cleanup(func() { f.must(lock.Close()) })
		}, "in use by another process; `keytrail serve` must not run"},
		"rows wait on the trail": {func(f *fixture) { f.append("row") }, "request logs wait on the trail: start `keytrail serve --data-dir "},
		"there is no database":   {func(f *fixture) { f.must(os.Remove(filepath.Join(f.dir, "logs.db"))) }, "logs.db does not exist"},
		"a database of another release": {func(f *fixture) {
			db, err := sql.Open("sqlite", filepath.Join(f.dir, "logs.db"))
			f.must(err)
			_, err = db.ExecContext(f.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
			f.must(errors.Join(err, db.Close()))
		}, "another release"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, 1)
			tt.prepare(f)
			if _, err := migrate.Run(t.Context(), f.config()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			f.expectRows(0)
		})
	}
}

// append leaves a record on the trail, as a process does that is killed before it ships the record.
func (f *fixture) append(record string) {
	f.Helper()
	j, err := wal.Open(wal.Options{
		Dir: filepath.Join(f.dir, "trail"), MaxBytes: 1 << 20, Fsync: time.Second, Log: quiet,
		Damaged: func(int64) {}, Synced: func(time.Duration) {},
	})
	f.must(err)
	f.must(j.Append(f.Context(), []byte(record)))
	f.must(j.Close())
}

// A torn record was never acknowledged.
func TestTornRecordOnTheTrailIsIgnored(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1)
	f.append("row")
	segments, err := filepath.Glob(filepath.Join(f.dir, "trail", "*.seg"))
	f.must(err)
	if len(segments) != 1 {
		t.Fatalf("segments %v", segments)
	}
	f.must(os.Truncate(segments[0], 5))
	f.run()
	f.expectAll()
}

// A killed process leaves committed rows in the WAL file of the database.
func TestSourceOfAKilledProcessIsReadCompletely(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1)
	logs := f.sourceLogs()
	late := newEntry("ws-00", time.Now(), 2, f.keys[0])
	f.must(logs.Record(t.Context(), append(f.logs["ws-00"][:0:0], late)))
	f.logs["ws-00"] = append(f.logs["ws-00"], late)
	crashed := t.TempDir()
	for _, name := range []string{"auth.db", "logs.db", "logs.db-wal"} {
		text, err := os.ReadFile(filepath.Join(f.dir, name))
		f.must(err)
		f.must(os.WriteFile(filepath.Join(crashed, name), text, 0o600))
	}
	f.must(logs.Close())
	f.dir = crashed
	f.run()
	f.expectAll()
}
