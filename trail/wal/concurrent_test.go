package wal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestConcurrentAppendersAReaderAndReleases(t *testing.T) {
	for _, fsync := range []time.Duration{0, time.Millisecond} {
		t.Run("fsync "+fsync.String(), func(t *testing.T) {
			t.Parallel()
			appenders, each := 8, 400
			if fsync == 0 {
				each = 100 // some disks take 50 ms a sync
			}
			w, seen := openTestWAL(t, t.TempDir(), func(o *Options) { o.MaxBytes, o.Fsync = 16<<10, fsync })
			var group sync.WaitGroup
			for a := range appenders {
				group.Go(func() { appendNumbers(t, w, a, each) })
			}
			readNumbers(t, w, appenders, each)
			group.Wait()
			if last := w.released.Segment; last < 20 {
				t.Errorf("only %d segments: this tests little", last)
			}
			if files := segmentFiles(t, w.options.Dir); len(files) > 1 || seen.damaged.Load() != 0 {
				t.Errorf("%d segments are left, %d bytes damaged", len(files), seen.damaged.Load())
			}
		})
	}
}

// appendNumbers appends an appender's numbers, and waits where the log is full.
func appendNumbers(t *testing.T, w *WAL, appender, n int) {
	for i := 0; i < n; {
		records := []string{fmt.Sprintf("%d %d %s", appender, i, strings.Repeat(".", 60))}
		if i%7 == 0 && i+1 < n {
			records = append(records, fmt.Sprintf("%d %d", appender, i+1))
		}
		switch err := appendStrings(w, records...); {
		case err == nil:
			i += len(records)
		case errors.Is(err, ErrFull):
			runtime.Gosched()
		default:
			t.Error(err)
			return
		}
	}
}

// readNumbers reads the numbers of all appenders, each in its order, and releases now and then.
func readNumbers(t *testing.T, w *WAL, appenders, each int) {
	r := newReader(t, w)
	next := make([]int, appenders)
	deadline := time.After(5 * time.Minute)
	for seen := 0; seen < appenders*each; {
		record, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			mustRelease(t, w, r)
			select {
			case <-w.Arrived():
			case <-deadline:
				t.Fatalf("%d of %d records arrived", seen, appenders*each)
			}
			continue
		}
		fields := strings.Fields(string(record.Payload))
		a, _ := strconv.Atoi(fields[0])
		if fields[1] != strconv.Itoa(next[a]) {
			t.Fatalf("appender %d: read %s, want %d", a, fields[1], next[a])
		}
		next[a]++
		if seen++; seen%100 == 0 {
			mustRelease(t, w, r)
		}
	}
	mustRelease(t, w, r)
	if _, ok, err := r.Next(); ok || err != nil {
		t.Fatalf("behind the last record Next returned %v, %v", ok, err)
	}
}

func TestWhatIsReleasedTwiceStaysReleased(t *testing.T) {
	w, _ := openTestWAL(t, t.TempDir(), func(o *Options) { o.MaxBytes = 800 })
	mustAppend(t, w, strings.Repeat(".", 100)) // a whole segment
	r := newReader(t, w)
	readAll(t, r)
	written := *w.last()
	mustRelease(t, w, r)
	mustRelease(t, w, r)
	if files := segmentFiles(t, w.options.Dir); len(files) != 0 {
		t.Errorf("%q are left", files)
	}
	if cursor, err := os.ReadFile(filepath.Join(w.options.Dir, cursorFile)); err != nil || parseCursor(cursor) != (Position{Segment: written.seq + 1}) {
		t.Errorf("the cursor is %v, %v", cursor, err)
	}
}

func TestOneSyncServesManyAppends(t *testing.T) {
	h := openPaused(t, time.Minute)
	results := []<-chan error{h.append(t, "first")}
	<-h.ended // a sync of the first, while the others are written
	for range 63 {
		results = append(results, h.append(t, "record"))
	}
	h.goOn <- struct{}{}
	<-h.ended // a sync of all others
	h.goOn <- struct{}{}
	for _, result := range results {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
}

// pausedWAL is a log whose syncs pause at their end until goOn receives.
type pausedWAL struct {
	*WAL
	ended, goOn chan struct{}
}

func openPaused(t *testing.T, stallTimeout time.Duration) pausedWAL {
	h := pausedWAL{ended: make(chan struct{}), goOn: make(chan struct{})}
	var free atomic.Bool
	h.WAL, _ = openTestWAL(t, t.TempDir(), func(o *Options) {
		o.Fsync, o.StallTimeout = 0, stallTimeout
		o.Synced = func(time.Duration) {
			if !free.Load() {
				h.ended <- struct{}{}
				<-h.goOn
			}
		}
	})
	t.Cleanup(func() { free.Store(true) }) // before the log is closed
	return h
}

// append appends in the background; the result comes after the record is written.
func (h pausedWAL) append(t *testing.T, record string) <-chan error {
	t.Helper()
	before := h.BacklogBytes()
	result := make(chan error, 1)
	go func() { result <- appendStrings(h.WAL, record) }()
	eventually(t, "the record is written", func() bool { return h.BacklogBytes() > before })
	return result
}

func unanswered(t *testing.T, result <-chan error) {
	t.Helper()
	select {
	case err := <-result:
		t.Fatalf("Append has returned (%v) before a sync that began after its write", err)
	default:
	}
}

func TestAppendWaitsForASyncThatBeganAfterItsWrite(t *testing.T) {
	h := openPaused(t, time.Minute)
	first := h.append(t, "first")
	<-h.ended // a sync of the first
	second := h.append(t, "second")
	unanswered(t, first)
	h.goOn <- struct{}{}
	if err := <-first; err != nil {
		t.Error(err)
	}
	<-h.ended // a sync of the second
	unanswered(t, second)
	h.goOn <- struct{}{}
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestAnEndOfTheContextEndsTheWaitAlone(t *testing.T) {
	h := openPaused(t, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- h.Append(ctx, []byte("record")) }()
	<-h.ended
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("returned %v", err)
	}
	h.goOn <- struct{}{}
	if got := readAll(t, newReader(t, h.WAL)); len(got) != 1 {
		t.Errorf("read %q", got)
	}
}
