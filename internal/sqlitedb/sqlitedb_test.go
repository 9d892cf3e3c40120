package sqlitedb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

var oneTable = fstest.MapFS{"00001_t.sql": {Data: []byte("-- +goose Up\nCREATE TABLE t (x INTEGER);")}}

func TestFilesArePrivate(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	db, err := Open(t.Context(), filepath.Join(dir, "test.db"), oneTable)
	must(t, err)
	defer db.Close()
	_, err = db.Write.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
	must(t, err)
	for _, name := range []string{"test.db", "test.db-wal", "test.db-shm"} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", name, info.Mode())
		}
	}
}

func TestReadOnlyDatabaseRefusesWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := Open(t.Context(), path, oneTable)
	must(t, err)
	_, err = db.Write.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
	must(t, err)
	must(t, db.Close())
	db, err = OpenReadOnly(t.Context(), path, oneTable)
	must(t, err)
	defer db.Close()
	var x int
	must(t, db.Read.QueryRowContext(t.Context(), "SELECT x FROM t").Scan(&x))
	if x != 1 {
		t.Errorf("x = %d", x)
	}
	if _, err := db.Write.ExecContext(t.Context(), "INSERT INTO t VALUES (2)"); err == nil || !strings.Contains(err.Error(), "readonly") {
		t.Errorf("a write: %v", err)
	}
}

func TestOpenReadOnlyRefusesAnotherRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	if _, err := OpenReadOnly(t.Context(), path, oneTable); err == nil {
		t.Error("a missing database was opened")
	}
	twoTables := fstest.MapFS{"00002_u.sql": {Data: []byte("-- +goose Up\nCREATE TABLE u (x INTEGER);")}}
	for name, file := range oneTable {
		twoTables[name] = file
	}
	db, err := Open(t.Context(), path, oneTable)
	must(t, err)
	must(t, db.Close())
	if _, err := OpenReadOnly(t.Context(), path, twoTables); err == nil || !strings.Contains(err.Error(), "version 1 and not 2") {
		t.Errorf("an older one: %v", err)
	}
	db, err = Open(t.Context(), path, twoTables)
	must(t, err)
	must(t, db.Close())
	if _, err := OpenReadOnly(t.Context(), path, oneTable); err == nil || !strings.Contains(err.Error(), "version 2 and not 1") {
		t.Errorf("a newer one: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
