package wal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/keytrail/keytrail/internal/testing/disktest"
)

func TestAFullDisk(t *testing.T) {
	disk, ok := disktest.Mount(t, "1m")
	if !ok {
		return
	}
	stuffing := filepath.Join(disk, "stuffing")
	if err := os.WriteFile(stuffing, make([]byte, 512<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(disk, "wal")
	w, _ := openTestWAL(t, dir, func(o *Options) { o.MaxBytes, o.Fsync = 64<<20, 0 })
	r := newReader(t, w)
	var want []string
	try := func() error {
		batch := []string{strings.Repeat(string(rune('a'+len(want)%26)), 3000), "and one more"}
		err := appendStrings(w, batch...)
		if err == nil {
			want = append(want, batch...)
		}
		return err
	}
	var err error
	for err == nil {
		err = try()
	}
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(w.Err(), syscall.ENOSPC) {
		t.Fatalf("on a full disk Append returns %v, and Err %v", err, w.Err())
	}
	w.mu.Lock()
	w.retryAt = w.retryAt.Add(-retryDelay)
	w.mu.Unlock()
	if err := try(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is still full, Append returns %v", err)
	}
	if on := bytesOnDisk(t, dir); on != w.size {
		t.Errorf("size %d, but %d bytes on disk: a record stands there in part", w.size, on)
	}
	if got := readAll(t, r); !slices.Equal(got, want) {
		t.Fatalf("on the full disk %d records are read, want %d", len(got), len(want))
	}
	mustRelease(t, w, r)
	if err := os.Remove(stuffing); err != nil {
		t.Fatal(err)
	}
	before := len(want)
	eventually(t, "appends work again", func() bool { return try() == nil })
	if err := w.Err(); err != nil {
		t.Error(err)
	}
	mustClose(t, w)
	again, seen := openTestWAL(t, dir, nil)
	if got := readAll(t, newReader(t, again)); !slices.Equal(got, want[before:]) || seen.damaged.Load() != 0 {
		t.Errorf("the next process reads %d records, want %d; %d bytes damaged", len(got), len(want)-before, seen.damaged.Load())
	}
}

// A segment that cannot be truncated after a failed write is ended. On /dev/full every write returns ENOSPC and every
// truncation EINVAL.
func TestAnEndThatCannotBeTakenBackEndsTheSegment(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), nil)
	mustAppend(t, w, "before")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	segment := w.active
	w.active = full
	w.mu.Unlock()
	// The incomplete record of a partial write.
	if _, err := segment.WriteString(magic); err != nil {
		t.Fatal(err)
	}
	if err := segment.Close(); err != nil {
		t.Fatal(err)
	}
	if err := appendStrings(w, "does not fit"); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("returned %v", err)
	}
	eventually(t, "appends work again", func() bool { return appendStrings(w, "after") == nil })
	if got := readAll(t, newReader(t, w)); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("read %q", got)
	}
	// The device cannot be synced either.
	if err := w.Close(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Close: %v", err)
	}
}
