// Package journal is a log of records on local disk: they are appended at one end, read from the other, and freed
// when they are released. It knows nothing of what the records are.
//
// Durability: a record whose Append has answered without an error survives the end of the process in any way. It
// survives a crash of the machine from the next sync on, which begins at the latest Options.Fsync after its Append, and
// has ended before the answer where that is 0. Where a sync fails, what it was to bring to the disk may not outlive the
// machine; nothing more is taken until one succeeds.
//
// On disk a journal is a folder of segments, each a sequence of frames (frame.go), and a cursor (cursor.go). A
// process only ever appends to segments that it made itself. So a segment that a crash left half written is read, not
// mended: its reader takes every good frame, whatever stands between them, and stops at the last one.
package wal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Options are what a journal is opened with; all of them are needed.
type Options struct {
	// Dir is its folder, made if it is missing. One process can have it open.
	Dir string
	// MaxBytes is how large all segments together may become.
	MaxBytes int64
	// Fsync is how long a record may wait to be synced to the disk; 0 = Append waits for it.
	Fsync time.Duration
	// Log is told of damage and of errors that nobody else can be told of.
	Log *slog.Logger
	// Damaged is told of bytes that were passed over because they are no good record.
	Damaged func(bytes int64)
	// Synced is told how long each sync took.
	Synced func(time.Duration)
}

// largestSegment bounds a segment; a journal with little room has smaller ones, so that releasing frees some of it. What
// is appended at once stays together: where it is larger, it has a segment of its own.
const largestSegment = 16 << 20

// tellEvery is how often, at the most, the log is told that a segment is not deleted.
const tellEvery = time.Minute

// ErrFull says that records find no room within MaxBytes.
var ErrFull = errors.New("the journal is full")

// ErrInUse says that another process has a journal open.
var ErrInUse = errors.New("in use by another process")

// errClosed is of an Append after Close.
var errClosed = errors.New("the journal is closed")

// Journal may be appended to concurrently; it has one reader, which also releases.
type Journal struct {
	options Options
	salt    uint32
	lock    *flock.Flock
	cursor  *os.File
	// arrived holds a token while there may be records that the reader has not seen.
	arrived chan struct{}
	syncer  syncer
	// buffers are what the frames of an Append are put together in.
	buffers sync.Pool
	// undeleted is when the log was last told that a segment is not deleted; it is the reader's.
	undeleted time.Time

	mu sync.Mutex
	// segments are the files on disk, oldest first.
	segments []segment
	// active is the file of the last segment; nil before the first record of this process and after an error.
	active *os.File
	// next is the sequence number of the segment to come.
	next uint64
	size int64
	// beside is what else takes room of MaxBytes.
	beside   int64
	released Position
	closed   bool
	// broken is why the last write failed, tried again from retry on; nil = it did not.
	broken error
	retry  time.Time
}

// Open opens a journal and locks its folder. It fails where another process has it.
func Open(options Options) (_ *Journal, err error) {
	if err := makeFolder(filepath.Clean(options.Dir)); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	j := &Journal{options: options, salt: rand.Uint32(), arrived: make(chan struct{}, 1), lock: flock.New(filepath.Join(options.Dir, "lock"))}
	j.buffers.New = func() any { return new([]byte) }
	switch locked, err := j.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock the folder: %w", err)
	case !locked:
		return nil, fmt.Errorf("%s is %w", options.Dir, ErrInUse)
	}
	if err := j.recover(); err != nil {
		return nil, errors.Join(err, j.lock.Close())
	}
	j.syncer.start(j)
	return j, nil
}

// recover finds what earlier processes left.
func (j *Journal) recover() (err error) {
	if j.cursor, j.released, err = openCursor(j.options.Dir); err != nil {
		return err
	}
	if j.segments, err = listSegments(j.options.Dir); err != nil {
		return errors.Join(err, j.cursor.Close())
	}
	// Above the cursor too, whose segment may be gone: a new one of its number would be taken for released.
	j.next = j.released.Segment + 1
	for _, s := range j.segments {
		j.size += s.size
		j.next = max(j.next, s.seq+1)
	}
	j.drop(j.released)
	if len(j.segments) > 0 {
		j.arrived <- struct{}{}
	}
	return nil
}

// Arrived holds a token when records may have arrived since it was last taken.
func (j *Journal) Arrived() <-chan struct{} { return j.arrived }

// Waiting is how many bytes of records are not released yet.
func (j *Journal) Waiting() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	waiting := j.size
	for _, s := range j.segments {
		switch {
		case s.seq < j.released.Segment:
			waiting -= s.size
		case s.seq == j.released.Segment:
			waiting -= min(j.released.Offset, s.size)
		}
	}
	return waiting
}

// Release says that everything before p is done with. Segments that end before it are deleted. What is released stays
// so, where an earlier p comes after a later one.
func (j *Journal) Release(p Position) error {
	j.mu.Lock()
	// The reader stays at the end of a segment that its last release has sealed, until it reads on.
	if p.before(j.released) {
		p = j.released
	}
	if j.active != nil && p.Segment == j.last().seq && p.Offset >= j.last().size && j.wants(p.Offset) {
		j.seal()
		p = Position{Segment: p.Segment + 1}
	}
	j.released = p
	j.mu.Unlock()
	j.drop(p)
	if _, err := j.cursor.WriteAt(formatCursor(p), 0); err != nil {
		return fmt.Errorf("write the cursor: %w", err)
	}
	return nil
}

// wants tells whether the room of a segment that is done with is worth a new one.
func (j *Journal) wants(bytes int64) bool {
	return bytes >= j.segmentBytes() || bytes > 0 && !j.room(int(j.segmentBytes()))
}

// drop deletes the segments before p. One that cannot be deleted stays, to be tried again. Appenders do not wait for
// the deletion: nobody else takes segments away.
func (j *Journal) drop(p Position) {
	for {
		first, found := j.first()
		if !found || first.seq >= p.Segment {
			return
		}
		if err := j.remove(first); err != nil {
			if now := time.Now(); now.Sub(j.undeleted) >= tellEvery {
				j.options.Log.Error("a segment is not deleted; trying again at every release", "error", err)
				j.undeleted = now
			}
			return
		}
		j.mu.Lock()
		j.size -= j.segments[0].size
		j.segments = j.segments[1:]
		j.mu.Unlock()
	}
}

func (j *Journal) first() (s segment, found bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) == 0 {
		return segment{}, false
	}
	return j.segments[0], true
}

// Beside says how many bytes of MaxBytes something else in the folder takes.
func (j *Journal) Beside(bytes int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.beside = bytes
}

// Err is why nothing can be appended now; nil = it can. After a failed write it tries whether writing works again.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.room(headerBytes + MaxRecord) {
		return ErrFull
	}
	if j.broken != nil {
		if _, err := j.write(appendFrame(nil, j.salt, time.Now(), nil)); err != nil {
			return err
		}
		// It is nothing to wait for: the reader is to pass it, so that it can be released.
		signal(j.arrived)
	}
	return j.syncer.failure
}

// Close syncs what was appended and unlocks the folder. It is called once; nothing may be appended afterwards.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	return errors.Join(j.syncer.stop(), j.cursor.Close(), j.lock.Close())
}

// Append appends records, all or none. It answers ErrFull at the limit. An end of ctx only ends the wait for the disk:
// after it, as after a failed sync, the records are not promised to be kept, but are read if they are.
func (j *Journal) Append(ctx context.Context, records ...[]byte) error {
	now, bytes := time.Now(), 0
	for _, record := range records {
		if len(record) == 0 || len(record) > MaxRecord {
			return fmt.Errorf("a record of %d bytes; must be 1 to %d", len(record), MaxRecord)
		}
		bytes += headerBytes + len(record)
	}
	buffer := j.buffers.Get().(*[]byte)
	if bytes <= MaxRecord {
		defer j.buffers.Put(buffer) // the large ones are rare, and would be kept
	}
	frames := slices.Grow((*buffer)[:0], bytes)
	for _, record := range records {
		frames = appendFrame(frames, j.salt, now, record)
	}
	*buffer = frames
	j.lockSoon()
	round, err := j.write(frames)
	j.mu.Unlock()
	if err != nil {
		return err
	}
	signal(j.arrived)
	return round.await(ctx)
}

// lockSoon locks. Another appender has the lock for about as long as it takes to put this goroutine to sleep and to wake
// it again, so it looks a few times before it does that.
func (j *Journal) lockSoon() {
	for range spins {
		if j.mu.TryLock() {
			return
		}
		runtime.Gosched()
	}
	j.mu.Lock()
}

const spins = 50

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
