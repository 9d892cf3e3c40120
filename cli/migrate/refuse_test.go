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

func TestASourceThatIsNotAtRestIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(w *world)
		want    string
	}{
		"a process has the trail open": {func(w *world) {
			seal, err := trail.Seal(filepath.Join(w.dir, "trail"), quiet)
			w.must(err)
			w.Cleanup(func() { w.must(seal.Close()) })
		}, "in use by another process; `keytrail serve` must not run"},
		"rows wait on the trail": {func(w *world) { w.append("row") }, "request logs wait on the trail: start `keytrail serve --data-dir "},
		"there is no database":   {func(w *world) { w.must(os.Remove(filepath.Join(w.dir, "logs.db"))) }, "logs.db is not there"},
		"a database of another release": {func(w *world) {
			db, err := sql.Open("sqlite", filepath.Join(w.dir, "logs.db"))
			w.must(err)
			_, err = db.ExecContext(w.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
			w.must(errors.Join(err, db.Close()))
		}, "another release"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			tt.prepare(w)
			if _, err := migrate.Run(t.Context(), w.config()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			w.expectRows(0)
		})
	}
}

// append puts a record on the trail, as a process does that is killed before it ships it.
func (w *world) append(record string) {
	w.Helper()
	j, err := wal.Open(wal.Options{
		Dir: filepath.Join(w.dir, "trail"), MaxBytes: 1 << 20, Fsync: time.Second, Log: quiet,
		Damaged: func(int64) {}, Synced: func(time.Duration) {},
	})
	w.must(err)
	w.must(j.Append(w.Context(), []byte(record)))
	w.must(j.Close())
}

// TestTheTornEndOfATrailIsNoRow: it was never promised to anybody.
func TestTheTornEndOfATrailIsNoRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.append("row")
	segments, err := filepath.Glob(filepath.Join(w.dir, "trail", "*.seg"))
	w.must(err)
	if len(segments) != 1 {
		t.Fatalf("segments %v", segments)
	}
	w.must(os.Truncate(segments[0], 5))
	w.run()
	w.expectAll()
}

// TestTheSourceOfAKilledProcessIsReadWhole: what it has committed is partly in the log beside the database.
func TestTheSourceOfAKilledProcessIsReadWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	logs := w.sourceLogs()
	late := newEntry("ws-00", time.Now(), 2, w.keys[0])
	w.must(logs.Record(t.Context(), append(w.logs["ws-00"][:0:0], late)))
	w.logs["ws-00"] = append(w.logs["ws-00"], late)
	crashed := t.TempDir()
	for _, name := range []string{"auth.db", "logs.db", "logs.db-wal"} {
		text, err := os.ReadFile(filepath.Join(w.dir, name))
		w.must(err)
		w.must(os.WriteFile(filepath.Join(crashed, name), text, 0o600))
	}
	w.must(logs.Close())
	w.dir = crashed
	w.run()
	w.expectAll()
}
