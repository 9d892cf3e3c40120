package wal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A disk that takes writes and then fails to sync them cannot be had without a device of one's own. What the kernel
// would answer then is an error of fsync(2): here the file is closed behind the journal's back, or is not in its place.

// closeActive makes the next sync of the active segment fail.
func closeActive(t *testing.T, j *Journal) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.active.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedSyncFailsTheAppendsThatWaitForIt(t *testing.T) {
	h := openHeld(t)
	good := h.append(t, "good")
	<-h.ended
	waits := h.append(t, "waits for the sync that fails")
	closeActive(t, h.Journal)
	h.goOn <- struct{}{}
	if err := <-good; err != nil {
		t.Errorf("the sync of the first record: %v", err)
	}
	<-h.ended
	h.goOn <- struct{}{}
	if err := <-waits; !errors.Is(err, os.ErrClosed) {
		t.Errorf("the sync of the second record: %v", err)
	}
	retryIn(h.Journal, time.Hour)
	if err := appendStrings(h.Journal, "too early"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("an append right after a failed sync: %v", err)
	}
}

// What is written to a file while a sync of it fails may be lost with the rest, and a later sync does not say so.
func TestAFailedSyncFailsWhatIsWrittenMeanwhile(t *testing.T) {
	h := openHeld(t)
	first := h.append(t, "first")
	<-h.ended
	h.goOn <- struct{}{}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	segment := segmentFiles(t, h.options.Dir)[0]
	move(t, segment, segment+".away")
	second := h.append(t, "second")
	<-h.ended // it has failed
	move(t, segment+".away", segment)
	third := h.append(t, "third")
	h.goOn <- struct{}{}
	for _, answer := range []<-chan error{second, third} {
		if err := <-answer; !errors.Is(err, os.ErrNotExist) {
			t.Errorf("answered %v", err)
		}
	}
	<-h.ended
	h.goOn <- struct{}{}
}

// retryIn says when a journal that cannot write tries again: what comes before is too early, however slow the machine is.
func retryIn(j *Journal, after time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.retry = time.Now().Add(after)
}

// failASync makes the sync of a record fail and answers when it has.
func failASync(t *testing.T, j *Journal) {
	t.Helper()
	mustAppend(t, j, "before")
	segment := segmentFiles(t, j.options.Dir)[0]
	move(t, segment, segment+".away")
	mustAppend(t, j, "not waited for")
	eventually(t, "the sync fails", func() bool { return syncFailure(j) != nil })
	move(t, segment+".away", segment)
}

func syncFailure(j *Journal) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.syncer.failure
}

func TestAfterAFailedSyncAppendWaitsForOneThatSucceeds(t *testing.T) {
	j, _ := openJournal(t, t.TempDir(), func(o *Options) { o.Fsync = 50 * time.Millisecond })
	failASync(t, j)
	retryIn(j, time.Hour)
	if err := appendStrings(j, "too early"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an append right after the failed sync: %v", err)
	}
	retryIn(j, 0)
	eventually(t, "Append succeeds", func() bool { return appendStrings(j, "after") == nil })
	if err := syncFailure(j); err != nil {
		t.Errorf("Append answered while the last sync had failed: %v", err)
	}
	if got := readAll(t, newReader(t, j)); !slices.Equal(got, []string{"before", "not waited for", "after"}) {
		t.Errorf("read %q", got)
	}
}

// Only a sync of new records shows that the disk is well again.
func TestErrTellsOfAFailedSyncUntilOneSucceeds(t *testing.T) {
	j, _ := openJournal(t, t.TempDir(), func(o *Options) { o.Fsync = 50 * time.Millisecond })
	failASync(t, j)
	if err := j.syncer.sync(); err != nil {
		t.Fatalf("a sync of nothing: %v", err)
	}
	if err := syncFailure(j); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after it the failure is %v", err)
	}
	<-j.Arrived()
	eventually(t, "Err tells that all is well", func() bool { return j.Err() == nil })
	select {
	case <-j.Arrived():
	default:
		t.Error("the reader is not told of the probe, which waits")
	}
	r := newReader(t, j)
	readAll(t, r)
	mustRelease(t, j, r)
	if waiting := j.Waiting(); waiting != 0 {
		t.Errorf("%d bytes wait that are no records", waiting)
	}
}

// Its release may end the segment of the new records before they are synced.
func TestASyncOfASegmentThatHasEndedShowsThatTheDiskIsWell(t *testing.T) {
	j, _ := openJournal(t, t.TempDir(), func(o *Options) { o.Fsync = 50 * time.Millisecond })
	failASync(t, j)
	j.mu.Lock()
	j.retry = time.Now()
	_, err := j.write(appendFrame(nil, j.salt, time.Now(), []byte("after")))
	j.seal()
	j.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "Err tells that all is well", func() bool { return j.Err() == nil })
}

func TestTheReaderIsToldThatASegmentIsGivenUp(t *testing.T) {
	j, _ := openJournal(t, t.TempDir(), nil)
	r := newReader(t, j)
	mustAppend(t, j, "released before it is synced")
	readAll(t, r)
	mustRelease(t, j, r)
	<-j.Arrived()
	closeActive(t, j)
	if err := j.syncer.sync(); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("the sync: %v", err)
	}
	select {
	case <-j.Arrived():
	default:
		t.Error("the reader is not told")
	}
	readAll(t, r)
	mustRelease(t, j, r)
	if files := segmentFiles(t, j.options.Dir); len(files) != 0 {
		t.Errorf("%q are left", files)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestTheFolderMovedAwayAndBack(t *testing.T) {
	for _, fsync := range []time.Duration{0, time.Millisecond} {
		t.Run("fsync "+fsync.String(), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			j, w := openJournal(t, dir, func(o *Options) { o.Fsync, o.MaxBytes = fsync, 8<<10 })
			r := newReader(t, j)
			var want []string
			try := func() bool {
				record := strings.Repeat(".", len(want)+1)
				err := appendStrings(j, record)
				if err == nil {
					want = append(want, record)
				}
				return err == nil
			}
			for range 60 { // several segments
				try()
			}
			got := []string{readOne(t, r)} // it has the first segment open
			move(t, dir, dir+".away")
			eventually(t, "appends fail", func() bool { return !try() && j.Err() != nil })
			got = append(got, readOne(t, r)) // from the segment that is open
			away := readUntilError(t, r, &got)
			if !errors.Is(away, os.ErrNotExist) {
				t.Errorf("reading on: %v", away)
			}
			if err := j.Release(r.Position()); err != nil {
				t.Error(err)
			}
			move(t, dir+".away", dir)
			eventually(t, "appends work again", try)
			if got = append(got, readAll(t, r)...); fsync > 0 && !slices.Equal(got, want) {
				t.Errorf("read %d records, want %d, all that were acknowledged", len(got), len(want))
			}
			if !subsequence(want, got) || w.damaged.Load() != 0 {
				t.Errorf("read %d records, want %d; %d bytes damaged", len(got), len(want), w.damaged.Load())
			}
			mustRelease(t, j, r)
			if on := bytesOnDisk(t, dir); on != j.size {
				t.Errorf("size %d, but %d bytes on disk", j.size, on)
			}
		})
	}
}

func readOne(t *testing.T, r *Reader) string {
	t.Helper()
	record, ok, err := r.Next()
	if err != nil || !ok {
		t.Fatalf("Next answered %v, %v", ok, err)
	}
	return string(record.Payload)
}

// readUntilError reads to an error or to the end.
func readUntilError(t *testing.T, r *Reader, got *[]string) error {
	t.Helper()
	for {
		record, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		*got = append(*got, string(record.Payload))
	}
}
