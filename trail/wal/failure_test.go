package wal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests simulate a disk that accepts writes and then fails to sync them: the file of the active segment is closed, or
// replaced by one that cannot be synced.

// closeActive makes the next sync of the active segment fail.
func closeActive(t *testing.T, w *WAL) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.active.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedSyncFailsTheAppendsThatWaitForIt(t *testing.T) {
	h := openPaused(t, time.Minute)
	good := h.append(t, "good")
	<-h.ended
	waits := h.append(t, "waits for the sync that fails")
	closeActive(t, h.WAL)
	h.goOn <- struct{}{}
	if err := <-good; err != nil {
		t.Errorf("the sync of the first record: %v", err)
	}
	<-h.ended
	h.goOn <- struct{}{}
	if err := <-waits; !errors.Is(err, os.ErrClosed) {
		t.Errorf("the sync of the second record: %v", err)
	}
	retryIn(h.WAL, time.Hour)
	if err := appendStrings(h.WAL, "too early"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("an append right after a failed sync: %v", err)
	}
}

// A record that is written to a file while a sync of it fails may be lost too, and a later sync does not report it.
func TestAFailedSyncFailsWhatIsWrittenMeanwhile(t *testing.T) {
	h := openPaused(t, time.Minute)
	first := h.append(t, "first")
	<-h.ended
	h.goOn <- struct{}{}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	// Writes to /dev/null succeed, and syncs fail with EINVAL.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	segment := h.active
	h.active = null
	h.mu.Unlock()
	if err := segment.Close(); err != nil {
		t.Fatal(err)
	}
	second := h.append(t, "second")
	<-h.ended // the sync has failed
	third := h.append(t, "third")
	h.goOn <- struct{}{}
	for _, result := range []<-chan error{second, third} {
		if err := <-result; !errors.Is(err, syscall.EINVAL) {
			t.Errorf("returned %v", err)
		}
	}
	<-h.ended
	h.goOn <- struct{}{}
}

// retryIn sets when a log that cannot write tries again, so that a slow machine does not affect the test.
func retryIn(w *WAL, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.retryAt = time.Now().Add(after)
}

// failASync makes the sync of a record fail and returns when it has.
func failASync(t *testing.T, w *WAL) {
	t.Helper()
	mustAppend(t, w, "before")
	mustAppend(t, w, "not waited for")
	closeActive(t, w)
	eventually(t, "the sync fails", func() bool { return syncFailure(w) != nil })
}

func syncFailure(w *WAL) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.syncer.failure
}

func TestAfterAFailedSyncAppendWaitsForOneThatSucceeds(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), func(o *Options) { o.Fsync = 50 * time.Millisecond })
	failASync(t, w)
	retryIn(w, time.Hour)
	if err := appendStrings(w, "too early"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("an append right after the failed sync: %v", err)
	}
	retryIn(w, 0)
	eventually(t, "Append succeeds", func() bool { return appendStrings(w, "after") == nil })
	if err := syncFailure(w); err != nil {
		t.Errorf("Append returned while the last sync had failed: %v", err)
	}
	if got := readAll(t, newReader(t, w)); !slices.Equal(got, []string{"before", "not waited for", "after"}) {
		t.Errorf("read %q", got)
	}
}

// Only a sync of new records shows that the disk works again.
func TestErrTellsOfAFailedSyncUntilOneSucceeds(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), func(o *Options) { o.Fsync = 50 * time.Millisecond })
	failASync(t, w)
	if err := w.syncer.sync(); err != nil {
		t.Fatalf("a sync of nothing: %v", err)
	}
	if err := syncFailure(w); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after it the failure is %v", err)
	}
	<-w.Arrived()
	eventually(t, "Err tells that all is well", func() bool { return w.Err() == nil })
	select {
	case <-w.Arrived():
	default:
		t.Error("the reader is not told of the probe, which waits")
	}
	r := newReader(t, w)
	readAll(t, r)
	mustRelease(t, w, r)
	if waiting := w.BacklogBytes(); waiting != 0 {
		t.Errorf("%d bytes wait that are no records", waiting)
	}
}

// A release may end the segment of the new records before they are synced.
func TestASyncOfASegmentThatHasEndedShowsThatTheDiskIsWell(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), func(o *Options) { o.Fsync = 50 * time.Millisecond })
	failASync(t, w)
	f, err := w.startSegment()
	if err != nil {
		t.Fatal(err)
	}
	frame := appendFrame(nil, w.salt, time.Now(), []byte("after"))
	if _, err := f.Write(frame); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.size, w.last().size, w.writeErr = w.size+int64(len(frame)), int64(len(frame)), nil
	w.endSegment()
	w.mu.Unlock()
	eventually(t, "Err tells that all is well", func() bool { return w.Err() == nil })
}

func TestTheReaderIsToldThatASegmentIsGivenUp(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), nil)
	r := newReader(t, w)
	mustAppend(t, w, "released before it is synced")
	readAll(t, r)
	mustRelease(t, w, r)
	<-w.Arrived()
	closeActive(t, w)
	if err := w.syncer.sync(); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("the sync: %v", err)
	}
	select {
	case <-w.Arrived():
	default:
		t.Error("the reader is not told")
	}
	readAll(t, r)
	mustRelease(t, w, r)
	if files := segmentFiles(t, w.options.Dir); len(files) != 0 {
		t.Errorf("%q are left", files)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestASegmentThatCannotBeDeletedDoesNotWait(t *testing.T) {
	w, seen := openTestWAL(t, t.TempDir(), func(o *Options) { o.MaxBytes = 800 })
	r := newReader(t, w)
	for range 2 {
		mustAppend(t, w, strings.Repeat(".", 80))
	}
	readAll(t, r)
	// A directory that is not empty is in its place.
	first := segmentFiles(t, w.options.Dir)[0]
	move(t, first, first+".away")
	if err := os.MkdirAll(filepath.Join(first, "not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	mustRelease(t, w, r)
	if got := w.BacklogBytes(); got != 0 || !strings.Contains(seen.text(), "segment not deleted") {
		t.Errorf("%d bytes wait; the log says %q", got, seen.text())
	}
	mustRelease(t, w, r)
	if n := strings.Count(seen.text(), "segment not deleted"); n != 1 {
		t.Errorf("the log tells %d times within a minute", n)
	}
	if w.size != 200 {
		t.Errorf("size %d, want 200", w.size)
	}
	if err := os.RemoveAll(first); err != nil {
		t.Fatal(err)
	}
	mustRelease(t, w, r)
	if w.size != 0 {
		t.Errorf("size %d, want 0", w.size)
	}
}

func TestRecordsMustHaveALengthThatFits(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), nil)
	longest := strings.Repeat("x", MaxRecord)
	for _, record := range []string{"", longest + "x"} {
		if err := appendStrings(w, "good", record); err == nil {
			t.Errorf("a record of %d bytes is taken", len(record))
		}
	}
	mustAppend(t, w, longest, longest, longest, longest, longest)
	if got := readAll(t, newReader(t, w)); len(got) != 5 {
		t.Errorf("%d records read, want 5", len(got))
	}
}
