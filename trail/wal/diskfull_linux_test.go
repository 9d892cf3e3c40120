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
	dir := filepath.Join(disk, "journal")
	j, _ := openJournal(t, dir, func(o *Options) { o.MaxBytes, o.Fsync = 64<<20, 0 })
	r := newReader(t, j)
	var want []string
	try := func() error {
		batch := []string{strings.Repeat(string(rune('a'+len(want)%26)), 3000), "and one more"}
		err := appendStrings(j, batch...)
		if err == nil {
			want = append(want, batch...)
		}
		return err
	}
	var err error
	for err == nil {
		err = try()
	}
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(j.Err(), syscall.ENOSPC) {
		t.Fatalf("on a full disk Append answers %v, and Err %v", err, j.Err())
	}
	j.mu.Lock()
	j.retry = j.retry.Add(-retryAfter)
	j.mu.Unlock()
	if err := try(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is still full, Append answers %v", err)
	}
	if on := bytesOnDisk(t, dir); on != j.size {
		t.Errorf("size %d, but %d bytes on disk: a record stands there in part", j.size, on)
	}
	if got := readAll(t, r); !slices.Equal(got, want) {
		t.Fatalf("on the full disk %d records are read, want %d", len(got), len(want))
	}
	mustRelease(t, j, r)
	if err := os.Remove(stuffing); err != nil {
		t.Fatal(err)
	}
	before := len(want)
	eventually(t, "appends work again", func() bool { return try() == nil })
	if err := j.Err(); err != nil {
		t.Error(err)
	}
	mustClose(t, j)
	again, w := openJournal(t, dir, nil)
	if got := readAll(t, newReader(t, again)); !slices.Equal(got, want[before:]) || w.damaged.Load() != 0 {
		t.Errorf("the next process reads %d records, want %d; %d bytes damaged", len(got), len(want)-before, w.damaged.Load())
	}
}

// A segment whose end cannot be taken back is given up. /dev/full answers every write with ENOSPC and every truncation
// with EINVAL.
func TestAnEndThatCannotBeTakenBackEndsTheSegment(t *testing.T) {
	j, _ := openJournal(t, t.TempDir(), nil)
	mustAppend(t, j, "before")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	j.mu.Lock()
	segment := j.active
	j.active = full
	j.mu.Unlock()
	// What a write leaves that ended in the middle, as a torn end of the segment.
	if _, err := segment.WriteString(magic); err != nil {
		t.Fatal(err)
	}
	if err := segment.Close(); err != nil {
		t.Fatal(err)
	}
	if err := appendStrings(j, "does not fit"); !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("answered %v", err)
	}
	eventually(t, "appends work again", func() bool { return appendStrings(j, "after") == nil })
	if got := readAll(t, newReader(t, j)); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("read %q", got)
	}
	// The device cannot be synced either.
	if err := j.Close(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Close: %v", err)
	}
}
