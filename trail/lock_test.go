package trail

import (
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/keytrail/keytrail/trail/wal"
)

func TestLockEmptyExcludesOthersUntilItIsClosed(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil))
	seal, err := LockEmpty(dir, log)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := LockEmpty(dir, log); err == nil {
		t.Error("two processes have the trail", again.Close())
	}
	if err := seal.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := LockEmpty(dir, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestATrailWithRowsIsNotLockedUntilTheyAreReleased(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil))
	options := wal.Options{
		Dir: dir, MaxBytes: MinBytes, Log: log, Damaged: func(int64) {}, Synced: func(time.Duration) {},
	}
	appendOne := func(release bool) {
		t.Helper()
		j, err := wal.Open(options)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Append(t.Context(), []byte("row")); err != nil {
			t.Fatal(err)
		}
		if release {
			releaseAll(t, j)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	appendOne(true)
	seal, err := LockEmpty(dir, log)
	if err != nil {
		t.Fatalf("with everything released: %v", err)
	}
	if err := seal.Close(); err != nil {
		t.Fatal(err)
	}
	appendOne(false)
	if _, err := LockEmpty(dir, log); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("with a row: %v", err)
	}
	// LockEmpty has unlocked the directory.
	appendOne(true)
	if seal, err = LockEmpty(dir, log); err != nil {
		t.Fatalf("with everything released again: %v", err)
	}
	if err := seal.Close(); err != nil {
		t.Fatal(err)
	}
}

// releaseAll reads a log to its end and releases it.
func releaseAll(t *testing.T, j *wal.WAL) {
	t.Helper()
	reader := j.NewReader()
	for {
		if _, ok, err := reader.Next(); err != nil {
			t.Fatal(err)
		} else if !ok {
			break
		}
	}
	if err := errors.Join(j.Release(reader.Position()), reader.Close()); err != nil {
		t.Fatal(err)
	}
}
