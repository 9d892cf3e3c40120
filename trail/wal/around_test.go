package wal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// readTroubled reads to the end. Reading fails first, and goes on failing for more than a minute.
func readTroubled(t *testing.T, r *Reader, want error) (records []string) {
	t.Helper()
	for range 3 {
		if err := readUntilError(t, r, &records); !errors.Is(err, want) {
			t.Fatalf("reading fails with %v, want %v", err, want)
		}
	}
	if r.trouble.around != 0 {
		t.Error("it is given up at once")
	}
	r.trouble.since = r.trouble.since.Add(-readPatience)
	if err := readUntilError(t, r, &records); !errors.Is(err, want) {
		t.Fatalf("reading fails with %v, want %v", err, want)
	}
	return append(records, readAll(t, r)...)
}

// badBlocks makes some blocks of every segment unreadable.
func badBlocks(blocks ...int64) func(f *os.File, buf []byte, offset int64) (int, error) {
	return func(f *os.File, buf []byte, offset int64) (int, error) {
		for _, block := range blocks {
			if offset < (block+1)*blockBytes && offset+int64(len(buf)) > block*blockBytes {
				return 0, fmt.Errorf("read: %w", syscall.EIO)
			}
		}
		return f.ReadAt(buf, offset)
	}
}

func TestBlocksThatCannotBeReadCostTheirRecordsAlone(t *testing.T) {
	for name, bad := range map[string][]int64{"the first": {0}, "in the middle": {3, 4, 9}, "the last": {15}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j, w := openJournal(t, dir, nil)
			const bytes, count = 1000, 16 * blockBytes / 1000
			var want []string
			lost := 0
			for i := range count {
				record := fmt.Sprintf("%0*d", bytes-headerBytes, i)
				mustAppend(t, j, record)
				from, to := int64(i*bytes), int64((i+1)*bytes)
				if slices.ContainsFunc(bad, func(b int64) bool { return from < (b+1)*blockBytes && to > b*blockBytes }) {
					lost++
				} else {
					want = append(want, record)
				}
			}
			r := newReader(t, j)
			r.readAt = badBlocks(bad...)
			got := readTroubled(t, r, syscall.EIO)
			if !slices.Equal(got, want) || w.damaged.Load() != int64(lost*bytes) {
				t.Errorf("%d records are read, want %d; %d bytes damaged, want %d", len(got), len(want), w.damaged.Load(), lost*bytes)
			}
			aside := int64(0)
			for _, file := range asideFiles(t, dir) {
				info, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				aside += info.Size()
			}
			if aside != w.damaged.Load() {
				t.Errorf("%d bytes are set aside of %d", aside, w.damaged.Load())
			}
		})
	}
}

func asideFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.damaged"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWhatCanBeReadIsSetAside(t *testing.T) {
	dir := t.TempDir()
	j, _ := openJournal(t, dir, nil)
	mustAppend(t, j, strings.Repeat("x", 2*blockBytes), "after")
	r := newReader(t, j)
	r.readAt = badBlocks(1)
	if got := readTroubled(t, r, syscall.EIO); !slices.Equal(got, []string{"after"}) {
		t.Errorf("read %d records", len(got))
	}
	text, err := os.ReadFile(asideFiles(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(bytes.Repeat([]byte{'x'}, blockBytes-headerBytes), make([]byte, blockBytes), bytes.Repeat([]byte{'x'}, headerBytes))
	if !bytes.Equal(text[headerBytes:], want) {
		t.Errorf("%q is set aside", text)
	}
}

// TestASegmentThatCannotBeReadAtAll has a folder stand in the place of a segment.
func TestASegmentThatCannotBeReadAtAll(t *testing.T) {
	dir := t.TempDir()
	j, w := openJournal(t, dir, func(o *Options) { o.MaxBytes = 800 })
	for _, record := range []string{"a", "b", "c"} {
		mustAppend(t, j, strings.Repeat(record, 80)) // a segment each
	}
	second := segmentFiles(t, dir)[1]
	if err := errors.Join(os.Remove(second), os.Mkdir(second, 0o700)); err != nil {
		t.Fatal(err)
	}
	r := newReader(t, j)
	if got := readTroubled(t, r, syscall.EISDIR); len(got) != 2 || got[0][0] != 'a' || got[1][0] != 'c' {
		t.Errorf("read %q", got)
	}
	if w.damaged.Load() != 100 || len(asideFiles(t, dir)) != 1 {
		t.Errorf("%d bytes damaged; the log says %s", w.damaged.Load(), w.log.String())
	}
	mustRelease(t, j, r)
	if _, err := os.Stat(second); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is not released: %v", err)
	}
}
