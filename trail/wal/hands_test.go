package wal

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Another hand shortens or deletes segments: what is gone is counted, and everything else goes on.

func TestTheActiveSegmentIsShortened(t *testing.T) {
	for _, left := range []int64{0, 10, 22, 30} {
		j, w := openJournal(t, t.TempDir(), nil)
		mustAppend(t, j, "a1", "b2", "c3") // 22 bytes each
		if err := os.Truncate(segmentFiles(t, j.options.Dir)[0], left); err != nil {
			t.Fatal(err)
		}
		r := newReader(t, j)
		var got []string
		if err := readUntilError(t, r, &got); err == nil {
			t.Fatalf("%d bytes left: the loss is silent", left)
		}
		mustAppend(t, j, "d4", "e5")
		got = append(got, readAll(t, r)...)
		want := append([]string{"a1"}[:left/22], "d4", "e5")
		if !slices.Equal(got, want) || w.damaged.Load() != 66-22*(left/22) {
			t.Errorf("%d bytes left: read %q, want %q; %d bytes damaged", left, got, want, w.damaged.Load())
		}
		if on := bytesOnDisk(t, j.options.Dir); on != j.size {
			t.Errorf("%d bytes left: size %d, but %d bytes on disk", left, j.size, on)
		}
	}
}

func TestTheActiveSegmentIsShortenedBehindItsReader(t *testing.T) {
	j, w := openJournal(t, t.TempDir(), nil)
	r := newReader(t, j)
	mustAppend(t, j, "a1", "b2")
	readAll(t, r)
	if err := os.Truncate(segmentFiles(t, j.options.Dir)[0], 0); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, "not where it should be")
	var got []string
	if err := readUntilError(t, r, &got); err == nil || len(got) > 0 || w.damaged.Load() != 42 {
		t.Fatalf("read %q, %v, %d bytes damaged: the loss is silent", got, err, w.damaged.Load())
	}
	mustAppend(t, j, "d4")
	if got := readAll(t, r); !slices.Equal(got, []string{"d4"}) {
		t.Errorf("read %q", got)
	}
}

func TestASegmentIsDeleted(t *testing.T) {
	j, w := openJournal(t, t.TempDir(), func(o *Options) { o.MaxBytes = 800 })
	r := newReader(t, j)
	for range 3 {
		mustAppend(t, j, strings.Repeat(".", 70), strings.Repeat(".", 10)) // a segment of 120 bytes each
	}
	readOne(t, r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.buf = nil // it reads anew
	for _, file := range segmentFiles(t, j.options.Dir)[:2] {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for range 2 {
		if err := readUntilError(t, r, &got); err == nil || len(got) > 0 {
			t.Fatalf("read %q, %v: the loss is silent", got, err)
		}
	}
	if got = readAll(t, r); len(got) != 2 {
		t.Errorf("read %q", got)
	}
	if w.damaged.Load() != 30+120 {
		t.Errorf("%d bytes damaged", w.damaged.Load())
	}
	mustRelease(t, j, r)
	if on := bytesOnDisk(t, j.options.Dir); on != j.size {
		t.Errorf("size %d, but %d bytes on disk", j.size, on)
	}
}

func TestASegmentThatCannotBeDeletedDoesNotWait(t *testing.T) {
	j, w := openJournal(t, t.TempDir(), func(o *Options) { o.MaxBytes = 800 })
	r := newReader(t, j)
	for range 2 {
		mustAppend(t, j, strings.Repeat(".", 80))
	}
	readAll(t, r)
	// A folder that is not empty stands in its place.
	first := segmentFiles(t, j.options.Dir)[0]
	move(t, first, first+".away")
	if err := os.MkdirAll(filepath.Join(first, "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	mustRelease(t, j, r)
	if got := j.Waiting(); got != 0 || !strings.Contains(w.log.String(), "a segment is not deleted") {
		t.Errorf("%d bytes wait; the log says %q", got, w.log.String())
	}
	mustRelease(t, j, r)
	if n := strings.Count(w.log.String(), "a segment is not deleted"); n != 1 {
		t.Errorf("the log tells %d times within a minute", n)
	}
	if j.size != 200 {
		t.Errorf("size %d, want 200", j.size)
	}
	if err := os.RemoveAll(first); err != nil {
		t.Fatal(err)
	}
	mustRelease(t, j, r)
	if j.size != 0 {
		t.Errorf("size %d, want 0", j.size)
	}
}

func TestRecordsMustHaveALengthThatFits(t *testing.T) {
	j, _ := openJournal(t, t.TempDir(), nil)
	longest := strings.Repeat("x", MaxRecord)
	for _, record := range []string{"", longest + "x"} {
		if err := appendStrings(j, "good", record); err == nil {
			t.Errorf("a record of %d bytes is taken", len(record))
		}
	}
	mustAppend(t, j, longest, longest, longest, longest, longest)
	if got := readAll(t, newReader(t, j)); len(got) != 5 {
		t.Errorf("%d records read, want 5", len(got))
	}
}
