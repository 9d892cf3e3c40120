package wal

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// stalledWAL is a log whose active segment is replaced by a full pipe: a write to it waits until the pipe is emptied.
type stalledWAL struct {
	*WAL
	watch *watch
	// pipe is the end to read from.
	pipe *os.File
	// filled is how much it had before the log wrote to it, and segment the file that it stands for.
	filled  int64
	segment *os.File
}

// stall returns a log with one record, "before", and a disk that does not respond.
func stall(t *testing.T, timeout time.Duration) *stalledWAL {
	t.Helper()
	s := &stalledWAL{}
	s.WAL, s.watch = openTestWAL(t, t.TempDir(), func(o *Options) { o.StallTimeout = timeout })
	mustAppend(t, s.WAL, "before")
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := syscall.Write(ends[1], make([]byte, 1<<10))
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		s.filled += int64(n)
	}
	// A system call waits, as for a disk, not the runtime.
	if err := syscall.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	s.pipe = os.NewFile(uintptr(ends[0]), "pipe")
	w := os.NewFile(uintptr(ends[1]), "pipe")
	s.swap(&s.segment, w)
	t.Cleanup(func() { s.close(t) })
	return s
}

// swap replaces the file of the active segment.
func (s *stalledWAL) swap(old **os.File, file *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*old, s.active = s.active, file
}

// respond makes the disk respond until done is closed: what the log writes goes to the segment.
func (s *stalledWAL) respond(t *testing.T) {
	t.Helper()
	if _, err := io.CopyN(io.Discard, s.pipe, s.filled); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(s.segment, s.pipe) }() // ends when the log closes the pipe
}

// close closes the log, whose file cannot be synced.
func (s *stalledWAL) close(t *testing.T) {
	if s.closed {
		return
	}
	if err := s.Close(); err != nil && !strings.Contains(err.Error(), "sync") {
		t.Errorf("Close: %v", err)
	}
}

// appending appends a record in the background.
func (s *stalledWAL) appending(ctx context.Context, record string) <-chan error {
	result := make(chan error, 1)
	go func() { result <- s.Append(ctx, []byte(record)) }()
	return result
}

// counts returns how many entries are queued and are being written.
func (s *stalledWAL) counts() (queued, writing int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue), len(s.writing)
}

// appendTaken appends "taken", and returns when the writer has taken it.
func (s *stalledWAL) appendTaken(t *testing.T, ctx context.Context) <-chan error {
	t.Helper()
	taken := s.appending(ctx, "taken")
	eventually(t, "the writer takes the record", func() bool { _, writing := s.counts(); return writing == 1 })
	return taken
}

// appendBoth appends "taken", which the writer takes, and "queued", which it does not.
func (s *stalledWAL) appendBoth(t *testing.T, ctx context.Context) (taken, queued <-chan error) {
	t.Helper()
	taken = s.appendTaken(t, ctx)
	queued = s.appending(ctx, "queued")
	eventually(t, "the record is queued", func() bool { n, _ := s.counts(); return n == 1 })
	return taken, queued
}

// expectRecords expects that a log that is opened later has records.
func (s *stalledWAL) expectRecords(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, "the segment has all of them", func() bool { return s.BacklogBytes() <= bytesOnDisk(t, s.options.Dir) })
	s.close(t)
	next, seen := openTestWAL(t, s.options.Dir, nil)
	if got := readAll(t, newReader(t, next)); !slices.Equal(got, want) || seen.damaged.Load() != 0 {
		t.Errorf("read %q, want %q; %d bytes damaged", got, want, seen.damaged.Load())
	}
}

func TestAStalledDiskHoldsUpNoAppend(t *testing.T) {
	s := stall(t, 20*time.Millisecond)
	taken, queued := s.appending(t.Context(), "taken"), s.appending(t.Context(), "either")
	for _, result := range []<-chan error{taken, queued} {
		if err := <-result; !errors.Is(err, ErrStalled) {
			t.Errorf("returned %v", err)
		}
	}
	if err := appendStrings(s.WAL, "later"); !errors.Is(err, ErrStalled) || errors.Is(err, ErrUncertain) {
		t.Errorf("an append to a disk that is known to stall: %v", err)
	}
	if err := s.Err(); !errors.Is(err, ErrStalled) || !strings.HasPrefix(err.Error(), "the disk has not responded for ") {
		t.Errorf("Err: %v", err)
	}
	if s.Stalled() < 20*time.Millisecond {
		t.Errorf("stalled for %v", s.Stalled())
	}
	// These do not wait for the disk either.
	s.SetExternalBytes(1)
	s.BacklogBytes()
	s.respond(t)
	eventually(t, "appends work again", func() bool { return appendStrings(s.WAL, "after") == nil })
	if err := s.Err(); err != nil || s.Stalled() != 0 {
		t.Errorf("Err: %v, stalled for %v", err, s.Stalled())
	}
	eventually(t, "it is logged", func() bool { return strings.Contains(s.watch.text(), "disk responds again") })
}

func TestWhatTheWriterHasNotTakenIsWithdrawn(t *testing.T) {
	s := stall(t, time.Second)
	taken, queued := s.appendBoth(t, t.Context())
	if err := <-taken; !errors.Is(err, ErrStalled) || !errors.Is(err, ErrUncertain) {
		t.Errorf("the record that the writer has taken: %v", err)
	}
	if err := <-queued; !errors.Is(err, ErrStalled) || errors.Is(err, ErrUncertain) {
		t.Errorf("the record that it has not taken: %v", err)
	}
	s.respond(t)
	eventually(t, "appends work again", func() bool { return appendStrings(s.WAL, "after") == nil })
	s.expectRecords(t, "before", "taken", "after")
}

func TestTheEndOfAContextWithdrawsWhatIsQueued(t *testing.T) {
	s := stall(t, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	taken, queued := s.appendBoth(t, ctx)
	goesOn := s.appending(t.Context(), "goes on")
	eventually(t, "both are queued", func() bool { n, _ := s.counts(); return n == 2 })
	cancel()
	if err := <-taken; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUncertain) {
		t.Errorf("the record that the writer has taken: %v", err)
	}
	if err := <-queued; !errors.Is(err, context.Canceled) || errors.Is(err, ErrUncertain) {
		t.Errorf("the record that it has not taken: %v", err)
	}
	s.respond(t)
	if err := <-goesOn; err != nil {
		t.Error(err)
	}
	s.expectRecords(t, "before", "taken", "goes on")
}

func TestAFullQueueMakesAppendsWait(t *testing.T) {
	s := stall(t, time.Minute)
	s.SetExternalBytes(-1 << 30) // the queue is full before the log is
	taken := s.appendTaken(t, t.Context())
	large := slices.Repeat([][]byte{[]byte(strings.Repeat("x", MaxRecord))}, maxQueueBytes/MaxRecord-1)
	first := make(chan error, 1)
	go func() { first <- s.Append(t.Context(), large...) }()
	eventually(t, "it fills the queue", func() bool { n, _ := s.counts(); return n == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	second, third := make(chan error, 1), s.appending(ctx, strings.Repeat("y", MaxRecord))
	go func() { second <- s.Append(t.Context(), large[:1]...) }()
	cancel()
	if err := <-third; !errors.Is(err, context.Canceled) || errors.Is(err, ErrUncertain) {
		t.Errorf("an append that waits for room, and whose context ends: %v", err)
	}
	if n, _ := s.counts(); n != 1 {
		t.Errorf("%d are queued", n)
	}
	s.respond(t)
	for _, result := range []<-chan error{taken, first, second} {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
}

// The writer writes what is queued at once, in its order.
func TestOneWriteTakesAllThatIsQueued(t *testing.T) {
	s := stall(t, time.Minute)
	results := []<-chan error{s.appendTaken(t, t.Context())}
	want := []string{"before", "taken"}
	for i := range 20 {
		record := strings.Repeat("r", 1+i)
		results, want = append(results, s.appending(t.Context(), record)), append(want, record)
		eventually(t, "the record is queued", func() bool { n, _ := s.counts(); return n == i+1 })
	}
	s.respond(t)
	for _, result := range results {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
	s.expectRecords(t, want...)
}

// The process was stopped, or had no processor, while it wrote.
func TestAProcessThatWasStoppedHasNoStalledDisk(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), nil)
	w.mu.Lock()
	w.write = operation{since: time.Now().Add(-time.Hour)}
	w.mu.Unlock()
	for range stallTicks {
		if stalled, _, _ := w.giveUpStalled(); stalled {
			t.Fatal("the disk had no time to respond")
		}
	}
	if stalled, _, _ := w.giveUpStalled(); !stalled {
		t.Error("the disk does not stall")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write = operation{}
	w.responded()
}

func TestCloseLeavesAStalledDisk(t *testing.T) {
	s := stall(t, time.Second)
	taken := s.appendTaken(t, t.Context())
	if err := s.Close(); !errors.Is(err, ErrStalled) {
		t.Errorf("Close: %v", err)
	}
	if err := <-taken; !errors.Is(err, ErrUncertain) {
		t.Errorf("the append: %v", err)
	}
	if err := appendStrings(s.WAL, "later"); !errors.Is(err, errClosed) {
		t.Errorf("an append after Close: %v", err)
	}
	if other, err := Open(s.options); !errors.Is(err, ErrInUse) {
		mustClose(t, other)
		t.Error("the directory is unlocked while the writer may write")
	}
	s.respond(t)
	<-s.ended
	s.running.Wait()
}

// The sync of a segment may fail while the writer writes to it. The record is there, but a crash of the machine may lose it.
func TestAFailedSyncFailsTheWriteInProgress(t *testing.T) {
	s := stall(t, time.Minute)
	taken := s.appendTaken(t, t.Context())
	if err := s.syncer.sync(); !errors.Is(err, syscall.EINVAL) {
		t.Fatalf("the sync of a pipe: %v", err)
	}
	r := newReader(t, s.WAL)
	if got := readAll(t, r); !slices.Equal(got, []string{"before"}) {
		t.Errorf("read %q", got)
	}
	mustRelease(t, s.WAL, r)
	s.respond(t)
	if err := <-taken; !errors.Is(err, syscall.EINVAL) || !errors.Is(err, ErrUncertain) {
		t.Errorf("returned %v", err)
	}
	eventually(t, "the record is there", func() bool { return bytesOnDisk(t, s.options.Dir) >= s.size })
	if got := readAll(t, r); !slices.Equal(got, []string{"taken"}) {
		t.Errorf("read %q", got)
	}
}

// A segment whose records are all released is ended if the log needs its room, but not while the writer writes to it.
func TestReleaseKeepsASegmentThatIsWritten(t *testing.T) {
	s := stall(t, time.Minute)
	taken := s.appendTaken(t, t.Context())
	s.SetExternalBytes(s.options.MaxBytes - 1<<10)
	r := newReader(t, s.WAL)
	readAll(t, r)
	mustRelease(t, s.WAL, r)
	s.respond(t)
	if err := <-taken; err != nil {
		t.Error(err)
	}
	eventually(t, "the record is there", func() bool { return bytesOnDisk(t, s.options.Dir) >= s.size })
	if got := readAll(t, r); !slices.Equal(got, []string{"taken"}) {
		t.Errorf("read %q", got)
	}
}

// A sync for which appends wait stalls like a write.
func TestASyncThatStallsHoldsUpNoAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openPaused(t, 250*time.Millisecond)
		began := time.Now()
		if err := appendStrings(h.WAL, "waits for the sync"); !errors.Is(err, ErrStalled) || !errors.Is(err, ErrUncertain) {
			t.Errorf("returned %v", err)
		}
		if took := time.Since(began); took > 300*time.Millisecond {
			t.Errorf("it waited for %v", took)
		}
		if err := appendStrings(h.WAL, "later"); !errors.Is(err, ErrStalled) || errors.Is(err, ErrUncertain) {
			t.Errorf("an append to a disk that is known to stall: %v", err)
		}
		<-h.ended
		h.goOn <- struct{}{}
		synctest.Wait()
		result := make(chan error, 1)
		go func() { result <- appendStrings(h.WAL, "after") }()
		<-h.ended
		h.goOn <- struct{}{}
		if err := <-result; err != nil || h.Err() != nil {
			t.Errorf("when the disk responds Append returns %v, and Err %v", err, h.Err())
		}
		if got := readAll(t, newReader(t, h.WAL)); !slices.Equal(got, []string{"waits for the sync", "after"}) {
			t.Errorf("read %q", got)
		}
	})
}

// A sync for which no append waits does not hold up appends. What a crash of the machine may lose grows, so Err reports it.
func TestALongSyncInTheBackgroundIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openPaused(t, 250*time.Millisecond)
		h.options.Fsync = 100 * time.Millisecond
		mustAppend(t, h.WAL, "one")
		<-h.ended
		<-time.After(syncPatience - time.Second)
		mustAppend(t, h.WAL, "two")
		if err := h.Err(); err != nil {
			t.Errorf("a second too early: %v", err)
		}
		<-time.After(time.Second)
		mustAppend(t, h.WAL, "three")
		if err := h.Err(); !errors.Is(err, ErrStalled) {
			t.Errorf("Err: %v", err)
		}
		h.goOn <- struct{}{}
		synctest.Wait()
		if err := h.Err(); err != nil {
			t.Errorf("when the disk responds: %v", err)
		}
		<-h.ended
		h.goOn <- struct{}{}
	})
}
