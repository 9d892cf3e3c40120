package trail

import (
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/keytrail/keytrail/trail/wal"
)

func TestASealKeepsOthersFromTheTrailUntilItIsClosed(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil))
	seal, err := Seal(dir, log)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Seal(dir, log); err == nil {
		t.Error("two processes have the trail", again.Close())
	}
	if err := seal.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Seal(dir, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestATrailWithRowsIsNotSealedUntilTheyAreReleased(t *testing.T) {
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
	seal, err := Seal(dir, log)
	if err != nil {
		t.Fatalf("with everything released: %v", err)
	}
	if err := seal.Close(); err != nil {
		t.Fatal(err)
	}
	appendOne(false)
	if _, err := Seal(dir, log); !errors.Is(err, ErrWaiting) {
		t.Errorf("with a row: %v", err)
	}
	// The refusal has let go of the folder.
	appendOne(true)
	if seal, err = Seal(dir, log); err != nil {
		t.Fatalf("with everything released again: %v", err)
	}
	if err := seal.Close(); err != nil {
		t.Fatal(err)
	}
}

// releaseAll reads the journal to its end and releases what it has read.
func releaseAll(t *testing.T, j *wal.Journal) {
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
