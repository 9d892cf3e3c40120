// Package wal is a write-ahead log on local disk. Records are appended at one end, read from the other, and their space
// is freed when they are released. A record is an opaque sequence of bytes.
//
// Durability: a record whose Append returned nil survives the end of the process, however it ends. It survives a crash
// of the machine once it is synced; the sync starts at most Options.Fsync after the Append, and completes before Append
// returns if Fsync is 0. If a sync fails, the records that it covered may be lost in a crash of the machine; no further
// record is accepted until a sync succeeds.
//
// A disk that stalls: one goroutine writes, everything queued at once (writer.go), one syncs (sync.go), and one notices when
// the disk has not responded for Options.StallTimeout (stall.go). Then Append returns ErrStalled instead of waiting, until
// the disk responds. No lock is held while the disk is used, so that no other method waits for it but Close, Release, and the
// methods of Reader.
//
// On disk a log is a directory of segments, each a sequence of frames (frame.go), and a cursor (segment.go). A process
// appends only to segments that it created. A segment that a crash left incomplete is read as it is: the reader skips
// what is not a valid frame. The directory belongs to the process that has it open; files that something else removes or
// truncates meanwhile are not detected.
package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/time/rate"

	"github.com/keytrail/keytrail/internal/durable"
)

// Options configures a log. All fields but StallTimeout are required.
type Options struct {
	// Dir is the directory of the log. It is created if it does not exist. One process at a time can open it.
	Dir string
	// MaxBytes limits the size of all segments together.
	MaxBytes int64
	// Fsync is how long a record may wait to be synced; 0 = Append waits for the sync.
	Fsync time.Duration
	// StallTimeout is how long Append waits for a disk that does not respond; 0 = 250 ms.
	StallTimeout time.Duration
	// Log receives errors that no caller sees, such as damaged segments.
	Log *slog.Logger
	// Damaged is called with the number of bytes that were skipped because they are not a valid frame.
	Damaged func(bytes int64)
	// Synced is called with the duration of each sync.
	Synced func(time.Duration)
}

const (
	// maxSegmentBytes limits a segment. A log with a small MaxBytes has smaller segments, so that releasing one frees a
	// useful part of it. The records of one Append are never split: they may make a segment larger.
	maxSegmentBytes = 16 << 20
	// defaultStallTimeout is Options.StallTimeout if it is 0.
	defaultStallTimeout = 250 * time.Millisecond
	// retryDelay is the pause after a failed write or sync.
	retryDelay = 100 * time.Millisecond
)

var (
	// ErrFull is returned when records do not fit within MaxBytes.
	ErrFull = errors.New("the log is full")
	// ErrInUse is returned by Open when another process has the log open.
	ErrInUse = errors.New("in use by another process")
	// ErrStalled is returned while the disk does not respond.
	ErrStalled = errors.New("the disk does not respond")
	// ErrUncertain is returned, together with the cause, when the records may be in the log nevertheless.
	ErrUncertain = errors.New("the records may have been written nevertheless")

	errClosed = errors.New("the log is closed")
)

// WAL is a write-ahead log. Append is safe for concurrent use. There is one Reader at a time, and only its goroutine
// calls Release.
type WAL struct {
	options Options
	salt    uint32
	lock    *flock.Flock
	cursor  *os.File
	// arrived holds a token while there may be records that the reader has not seen.
	arrived chan struct{}
	syncer  syncer
	// entries holds *entry that can be used again.
	entries     sync.Pool
	deleteError rate.Sometimes
	// ended is closed when the writer has ended, and closeErr is set before.
	ended    chan struct{}
	closeErr error
	running  sync.WaitGroup

	// mu guards what follows. It is never held while the disk is used.
	mu sync.Mutex
	// queue are the entries that the writer has not taken, in order, and writing those that it writes in the operation write.
	// queued is the size of both.
	queue, writing []*entry
	queued         int64
	write          operation
	// idle is set while the writer waits for wake, which has a buffer of one.
	idle bool
	wake chan struct{}
	// room is closed when something leaves the queue; nil = no append waits for room.
	room chan struct{}
	// stalled is set while the disk does not respond.
	stalled bool
	// segments are the files on disk, oldest first.
	segments []segment
	// active is the file of the last segment; nil before the first record of this process and after an error.
	active *os.File
	// nextSeq is the sequence number of the next segment.
	nextSeq uint64
	size    int64
	// external is how much of MaxBytes other files use.
	external int64
	released Position
	closed   bool
	// writeErr is the error of the last write or sync; writing is tried again after retryAt.
	writeErr error
	retryAt  time.Time
}

// Open opens a log and locks its directory. It returns ErrInUse if another process has the log open.
func Open(options Options) (*WAL, error) {
	options.StallTimeout = cmp.Or(options.StallTimeout, defaultStallTimeout)
	if err := durable.MkdirAll(options.Dir); err != nil {
		return nil, fmt.Errorf("create the directory: %w", err)
	}
	w := &WAL{
		options: options, salt: rand.Uint32(), arrived: make(chan struct{}, 1), lock: flock.New(filepath.Join(options.Dir, "lock")),
		deleteError: rate.Sometimes{Interval: time.Minute}, ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	w.entries.New = func() any { return &entry{done: make(chan struct{}, 1)} }
	switch locked, err := w.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock the directory: %w", err)
	case !locked:
		return nil, fmt.Errorf("%s is %w", options.Dir, ErrInUse)
	}
	if err := w.load(); err != nil {
		return nil, errors.Join(err, w.lock.Close())
	}
	w.syncer.start(w)
	w.running.Go(w.writeAll)
	w.running.Go(w.watch)
	return w, nil
}

// load reads the state that earlier processes left.
func (w *WAL) load() (err error) {
	if w.cursor, w.released, err = openCursor(w.options.Dir); err != nil {
		return err
	}
	if w.segments, err = listSegments(w.options.Dir); err != nil {
		return errors.Join(err, w.cursor.Close())
	}
	// The segment of the cursor may be gone. Its number is not used again: the new segment would count as released.
	w.nextSeq = w.released.Segment + 1
	for _, s := range w.segments {
		w.size += s.size
		w.nextSeq = max(w.nextSeq, s.seq+1)
	}
	w.deleteReleased()
	if len(w.segments) > 0 {
		signal(w.arrived)
	}
	return nil
}

// Append appends records, all or none. It returns ErrFull if they do not fit within MaxBytes, and ErrStalled if the disk does
// not respond. When ctx ends, Append stops waiting. In these cases, and when the disk fails, the records are not in the log,
// unless the error is ErrUncertain as well: then they may be. Append does not retain records.
func (w *WAL) Append(ctx context.Context, records ...[]byte) error {
	now, bytes := time.Now(), 0
	for _, record := range records {
		if len(record) == 0 || len(record) > MaxRecord {
			return fmt.Errorf("a record has %d bytes; must have 1 to %d", len(record), MaxRecord)
		}
		bytes += headerBytes + len(record)
	}
	e := w.entries.Get().(*entry)
	e.frames = slices.Grow(e.frames[:0], bytes)
	for _, record := range records {
		e.frames = appendFrame(e.frames, w.salt, now, record)
	}
	if err := w.enqueue(ctx, e); err != nil {
		w.reuse(e)
		return err
	}
	return w.await(ctx, e)
}

// endSegment ends the active segment. The reader is woken to move past it, because its space on disk is not freed while
// the reader or the syncer has it open.
func (w *WAL) endSegment() {
	w.syncer.closeLater(w.active)
	w.active = nil
	signal(w.arrived)
}

// fail rejects records until retryDelay has passed.
func (w *WAL) fail(err error) { w.writeErr, w.retryAt = err, time.Now().Add(retryDelay) }

func (w *WAL) fits(bytes int64) bool { return w.size+w.queued+w.external+bytes <= w.options.MaxBytes }

func (w *WAL) segmentLimit() int64 { return min(maxSegmentBytes, w.options.MaxBytes/8) }

func (w *WAL) last() *segment { return &w.segments[len(w.segments)-1] }

// Arrived returns a channel that holds a token when records may have been appended since the last receive.
func (w *WAL) Arrived() <-chan struct{} { return w.arrived }

// BacklogBytes returns the size of the records that are not released.
func (w *WAL) BacklogBytes() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return backlog(w.segments, w.released)
}

// SetExternalBytes reserves part of MaxBytes for other files in Dir.
func (w *WAL) SetExternalBytes(bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.external = bytes
}

// Release marks everything before p as processed and deletes the segments that end before p. It never moves back: an
// earlier p than that of the last Release is ignored.
func (w *WAL) Release(p Position) error {
	w.mu.Lock()
	if p.before(w.released) {
		p = w.released
	}
	if w.active != nil && !w.write.runs() && p.Segment == w.last().seq && p.Offset >= w.last().size && w.worthEnding(p.Offset) {
		w.endSegment()
		p = Position{Segment: p.Segment + 1}
	}
	w.released = p
	w.mu.Unlock()
	w.deleteReleased()
	if _, err := w.cursor.WriteAt(formatCursor(p), 0); err != nil {
		return fmt.Errorf("write the cursor: %w", err)
	}
	return nil
}

// worthEnding reports whether an active segment whose records are all released is ended to free its space.
func (w *WAL) worthEnding(bytes int64) bool {
	return bytes >= w.segmentLimit() || bytes > 0 && !w.fits(w.segmentLimit())
}

// deleteReleased deletes the released segments. Deletion stops at an error and is tried again at the next Release. It does
// not hold w.mu while it deletes, so that Append does not wait; only the reader's goroutine removes segments.
func (w *WAL) deleteReleased() {
	for {
		w.mu.Lock()
		if len(w.segments) == 0 || w.segments[0].seq >= w.released.Segment {
			w.mu.Unlock()
			return
		}
		first := w.segments[0]
		w.mu.Unlock()
		if err := os.Remove(filepath.Join(w.options.Dir, first.name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.deleteError.Do(func() {
				w.options.Log.Error("trail segment not deleted; retrying at the next release", "error", err)
			})
			return
		}
		w.mu.Lock()
		w.size -= w.segments[0].size
		w.segments = w.segments[1:]
		w.mu.Unlock()
	}
}

// Err returns why Append fails now, or nil. After a failed write or sync it has a probe written, so that a log recovers even
// if nothing is appended.
func (w *WAL) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	switch stalled := w.stalledFor(now); {
	case stalled > 0:
		return stalledError{stalled}
	case !w.fits(headerBytes + MaxRecord):
		return ErrFull
	case w.writeErr == nil:
		return w.syncer.failure
	case w.queued == 0 && !w.closed && !now.Before(w.retryAt):
		w.push(&entry{frames: appendFrame(nil, w.salt, now, nil), done: make(chan struct{}, 1)})
	}
	return w.writeErr
}

// closeTimeout is how long Close waits for the disk.
const closeTimeout = 2 * time.Second

// Close writes and syncs what was appended and unlocks the directory. It must be called once; Append fails afterwards. If the
// disk does not respond within 2 s, Close returns ErrStalled and leaves the rest to the writer: the directory is unlocked
// when the disk responds or the process ends.
func (w *WAL) Close() error {
	w.mu.Lock()
	w.closed = true
	w.wakeWriter()
	w.mu.Unlock()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-w.ended:
		w.running.Wait()
		return w.closeErr
	case <-timer.C:
		return fmt.Errorf("close the log: %w", ErrStalled)
	}
}

// signal puts a token into a channel with a buffer of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
