package wal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

const (
	// maxQueueBytes limits the frames that wait for the writer. Further appends wait until there is room; one that is larger
	// waits for an empty queue.
	maxQueueBytes = 16 << 20
	// maxWriteBytes limits the frames of several appends that are written at once. They are copied into one buffer.
	maxWriteBytes = 256 << 10
)

// entry holds the frames of one Append while it waits for the writer and, if it must, for the sync. Exactly one of these
// lists has it until it is finished: WAL.queue, WAL.writing, syncer.waiting, syncer.syncing.
type entry struct {
	frames []byte
	err    error
	// done receives when err is set. Its buffer is for an Append that has given up.
	done chan struct{}
}

// finish lets the appends of entries return. The caller has removed the entries from their list, and need not hold WAL.mu.
func finish(entries []*entry, err error) {
	for _, e := range entries {
		e.err = err
		e.done <- struct{}{}
	}
}

// enqueue gives an entry to the writer. It waits if the queue is full.
func (w *WAL) enqueue(ctx context.Context, e *entry) error {
	bytes := int64(len(e.frames))
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		switch {
		case w.closed:
			return errClosed
		case w.stalled:
			return ErrStalled
		case !w.fits(bytes):
			return ErrFull
		case w.writeErr != nil && time.Now().Before(w.retryAt):
			return w.writeErr
		case w.queued == 0 || w.queued+bytes <= maxQueueBytes:
			w.push(e)
			return nil
		}
		if err := w.awaitRoom(ctx); err != nil {
			return err
		}
	}
}

// push adds an entry to the queue. The caller holds w.mu.
func (w *WAL) push(e *entry) {
	w.queue = append(w.queue, e)
	w.queued += int64(len(e.frames))
	w.wakeWriter()
}

// wakeWriter wakes the writer if it waits. The caller holds w.mu.
func (w *WAL) wakeWriter() {
	if w.idle {
		w.idle = false
		w.wake <- struct{}{}
	}
}

// awaitRoom waits until something leaves the queue. The caller holds w.mu, which is released meanwhile.
func (w *WAL) awaitRoom(ctx context.Context) error {
	if w.room == nil {
		w.room = make(chan struct{})
	}
	room := w.room
	w.mu.Unlock()
	defer w.mu.Lock()
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the disk: %w", ctx.Err())
	}
}

// freed accounts for frames that are no longer queued. The caller holds w.mu.
func (w *WAL) freed(bytes int64) {
	w.queued -= bytes
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}

// await waits until an entry is finished, or gives it up when ctx ends.
func (w *WAL) await(ctx context.Context, e *entry) error {
	select {
	case <-e.done:
	case <-ctx.Done():
		if err := w.giveUp(e, ctx.Err()); err != nil {
			return err
		}
		<-e.done
	}
	err := e.err
	if err == nil { // otherwise the writer may still have it
		w.reuse(e)
	}
	return err
}

// reuse makes an entry available again. Large buffers are rare and not worth keeping.
func (w *WAL) reuse(e *entry) {
	if cap(e.frames) <= MaxRecord {
		w.entries.Put(e)
	}
}

// giveUp withdraws an entry from the queue. What the writer has taken may be written. It returns nil if the entry is
// finished already.
func (w *WAL) giveUp(e *entry, cause error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.queue, e); i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
		w.freed(int64(len(e.frames)))
		return fmt.Errorf("wait for the disk: %w", cause)
	}
	for _, taken := range [][]*entry{w.writing, w.syncer.waiting, w.syncer.syncing} {
		if slices.Contains(taken, e) {
			return fmt.Errorf("wait for the disk: %w; %w", cause, ErrUncertain)
		}
	}
	return nil
}

// group is what the writer writes at once.
type group struct {
	entries []*entry
	frames  []byte
	// active is the file to write to, nil for a new segment, and size how long it is.
	active *os.File
	size   int64
	// buffer has the frames of several entries.
	buffer []byte
	// torn is set if the write failed, and a part of it may remain on disk.
	torn bool
}

// writeAll writes what is queued until the log is closed, and then closes the files. It is the only goroutine that writes to
// segments, and starts them.
func (w *WAL) writeAll() {
	defer close(w.ended)
	var g group
	for w.take(&g) {
		g.assemble()
		w.written(&g, w.writeGroup(&g))
	}
	w.closeErr = errors.Join(w.syncer.stop(), w.cursor.Close(), w.lock.Close())
}

// take waits for entries and takes as many as fit into one segment and one write. It returns false when the log is closed
// and nothing is queued.
func (w *WAL) take(g *group) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 {
		if w.closed {
			return false
		}
		w.idle = true
		w.mu.Unlock()
		<-w.wake
		// The first append wakes the writer, which would run before the other appends that are ready. After them it writes for
		// all: with many callers an append takes 1.3 instead of 2.6 µs of CPU.
		runtime.Gosched()
		w.mu.Lock()
	}
	bytes := int64(len(w.queue[0].frames))
	if w.active != nil && w.last().size > 0 && w.last().size+bytes > w.segmentLimit() {
		w.endSegment()
	}
	if g.active, g.size = w.active, 0; w.active != nil {
		g.size = w.last().size
	}
	n, most := 1, min(w.segmentLimit()-g.size, maxWriteBytes)
	for n < len(w.queue) && bytes+int64(len(w.queue[n].frames)) <= most {
		bytes += int64(len(w.queue[n].frames))
		n++
	}
	g.entries = append(g.entries[:0], w.queue[:n]...)
	w.queue = slices.Delete(w.queue, 0, n)
	w.writing, w.write = g.entries, operation{since: time.Now()}
	return true
}

// assemble joins the frames of the entries.
func (g *group) assemble() {
	if len(g.entries) == 1 {
		g.frames = g.entries[0].frames
		return
	}
	g.buffer = g.buffer[:0]
	for _, e := range g.entries {
		g.buffer = append(g.buffer, e.frames...)
	}
	g.frames = g.buffer
}

// writeGroup writes all frames of a group, or leaves the segment as it was. If it can do neither, the group is torn.
func (w *WAL) writeGroup(g *group) (err error) {
	g.torn = false
	if g.active == nil {
		if g.active, err = w.startSegment(); err != nil {
			return err
		}
	}
	if _, err := g.active.Write(g.frames); err != nil {
		truncateErr := g.active.Truncate(g.size)
		g.torn = truncateErr != nil
		return errors.Join(fmt.Errorf("append: %w", err), truncateErr)
	}
	return nil
}

func (w *WAL) startSegment() (*os.File, error) {
	s := segment{seq: w.nextSeq, salt: w.salt}
	f, err := os.OpenFile(filepath.Join(w.options.Dir, s.name()), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create a segment: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nextSeq++
	w.active, w.segments = f, append(w.segments, s)
	w.syncer.dirChanged = true
	return f, nil
}

// written accounts for a group whose write returned err, and lets its appends return or wait for the sync.
func (w *WAL) written(g *group, err error) {
	bytes, rejected := int64(len(g.frames)), []*entry(nil)
	w.mu.Lock()
	entries := w.writing
	w.writing, w.write = nil, operation{}
	w.freed(bytes)
	w.responded()
	if err == nil {
		w.size += bytes
		w.last().size += bytes
	}
	switch {
	case err != nil:
		rejected = w.failed(g, err)
	case w.active != g.active:
		// A sync of the segment failed during the write, and it is closed.
		err, g.torn = w.writeErr, true
	default:
		w.writeErr = nil
		if signal(w.syncer.dirty); w.syncer.awaited() {
			w.syncer.waiting, entries = append(w.syncer.waiting, entries...), nil
		}
	}
	w.mu.Unlock()
	signal(w.arrived)
	finish(rejected, err)
	if g.torn {
		err = fmt.Errorf("%w; %w", err, ErrUncertain)
	}
	finish(entries, err)
}

// failed takes what is queued out of the queue: it fails with the group. The caller holds w.mu.
func (w *WAL) failed(g *group, err error) (rejected []*entry) {
	// On a full disk this segment may be what fills it. It can be deleted only after it has ended. Frames that could not be
	// truncated remain as its torn end.
	if w.active != nil && w.active == g.active && (g.torn || w.last().size > 0) {
		w.endSegment()
	}
	w.fail(err)
	return w.emptyQueue()
}

// emptyQueue withdraws what the writer has not taken. The caller holds w.mu and finishes the entries.
func (w *WAL) emptyQueue() (withdrawn []*entry) {
	withdrawn, w.queue = w.queue, nil
	for _, e := range withdrawn {
		w.freed(int64(len(e.frames)))
	}
	return withdrawn
}
