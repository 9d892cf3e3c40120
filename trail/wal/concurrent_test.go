package wal

import (
	"context"
	"errors"
	"fmt"
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
			j, w := openJournal(t, t.TempDir(), func(o *Options) { o.MaxBytes, o.Fsync = 16<<10, fsync })
			var group sync.WaitGroup
			for a := range appenders {
				group.Go(func() { appendNumbers(t, j, a, each) })
			}
			readNumbers(t, j, appenders, each)
			group.Wait()
			if last := j.released.Segment; last < 20 {
				t.Errorf("only %d segments: this tests little", last)
			}
			if files := segmentFiles(t, j.options.Dir); len(files) > 1 || w.damaged.Load() != 0 {
				t.Errorf("%d segments are left, %d bytes damaged", len(files), w.damaged.Load())
			}
		})
	}
}

// appendNumbers appends an appender's numbers, and waits where the journal is full.
func appendNumbers(t *testing.T, j *Journal, appender, n int) {
	for i := 0; i < n; {
		records := []string{fmt.Sprintf("%d %d %s", appender, i, strings.Repeat(".", 60))}
		if i%7 == 0 && i+1 < n {
			records = append(records, fmt.Sprintf("%d %d", appender, i+1))
		}
		switch err := appendStrings(j, records...); {
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
func readNumbers(t *testing.T, j *Journal, appenders, each int) {
	r := newReader(t, j)
	next := make([]int, appenders)
	deadline := time.After(5 * time.Minute)
	for seen := 0; seen < appenders*each; {
		record, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			mustRelease(t, j, r)
			select {
			case <-j.Arrived():
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
			mustRelease(t, j, r)
		}
	}
	mustRelease(t, j, r)
	if _, ok, err := r.Next(); ok || err != nil {
		t.Fatalf("behind the last record Next answered %v, %v", ok, err)
	}
}

// A sync that began before a segment was released finds its file gone, however often it is released.
func TestWhatIsReleasedTwiceStaysReleased(t *testing.T) {
	j, _ := openJournal(t, t.TempDir(), func(o *Options) { o.MaxBytes = 800 })
	mustAppend(t, j, strings.Repeat(".", 100)) // a whole segment
	r := newReader(t, j)
	readAll(t, r)
	file, written := j.active, *j.last()
	for range 2 {
		mustRelease(t, j, r)
		if err := j.inPlace(file, written); err != nil {
			t.Errorf("the sync fails: %v", err)
		}
	}
	if files := segmentFiles(t, j.options.Dir); len(files) != 0 {
		t.Errorf("%q are left", files)
	}
	if p, err := readCursor(j.options.Dir); err != nil || p != (Position{Segment: written.seq + 1}) {
		t.Errorf("the cursor is %v, %v", p, err)
	}
}

func TestOneSyncServesManyAppends(t *testing.T) {
	h := openHeld(t)
	answers := []<-chan error{h.append(t, "first")}
	<-h.ended // a sync of the first, while the others are written
	for range 63 {
		answers = append(answers, h.append(t, "record"))
	}
	h.goOn <- struct{}{}
	<-h.ended // a sync of all others
	h.goOn <- struct{}{}
	for _, answer := range answers {
		if err := <-answer; err != nil {
			t.Error(err)
		}
	}
}

// held is a journal whose syncs stop at their end, until each is let go.
type held struct {
	*Journal
	ended, goOn chan struct{}
}

func openHeld(t *testing.T) held {
	h := held{ended: make(chan struct{}), goOn: make(chan struct{})}
	var free atomic.Bool
	h.Journal, _ = openJournal(t, t.TempDir(), func(o *Options) {
		o.Fsync = 0
		o.Synced = func(time.Duration) {
			if !free.Load() {
				h.ended <- struct{}{}
				<-h.goOn
			}
		}
	})
	t.Cleanup(func() { free.Store(true) }) // before the journal is closed
	return h
}

// append appends in the background; the answer comes after the record is written.
func (h held) append(t *testing.T, record string) <-chan error {
	t.Helper()
	before := h.Waiting()
	answer := make(chan error, 1)
	go func() { answer <- appendStrings(h.Journal, record) }()
	eventually(t, "the record is written", func() bool { return h.Waiting() > before })
	return answer
}

func unanswered(t *testing.T, answer <-chan error) {
	t.Helper()
	select {
	case err := <-answer:
		t.Fatalf("Append has answered (%v) before a sync that began after its write", err)
	default:
	}
}

func TestAppendWaitsForASyncThatBeganAfterItsWrite(t *testing.T) {
	h := openHeld(t)
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
	h := openHeld(t)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- h.Append(ctx, []byte("record")) }()
	<-h.ended
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("answered %v", err)
	}
	h.goOn <- struct{}{}
	if got := readAll(t, newReader(t, h.Journal)); len(got) != 1 {
		t.Errorf("read %q", got)
	}
}
