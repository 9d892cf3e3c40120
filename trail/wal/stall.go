package wal

import (
	"fmt"
	"slices"
	"time"
)

const (
	// stallTicks is how often the watch looks within Options.StallTimeout. An operation that it sees once more is stalled.
	stallTicks = 5
	// syncPatience is how long a sync may take that no Append waits for, before Err reports it.
	syncPatience = 5 * time.Second
)

// errGivenUp is returned by an Append whose records the writer has taken when the disk stalls.
var errGivenUp = fmt.Errorf("%w; %w", ErrStalled, ErrUncertain)

// stalledError is ErrStalled with how long the disk has not responded.
type stalledError struct{ d time.Duration }

func (e stalledError) Error() string {
	return fmt.Sprintf("the disk has not responded for %v", e.d.Round(100*time.Millisecond))
}

func (stalledError) Is(target error) bool { return target == ErrStalled }

// watch notices that the disk stalls, for all appends together, until the writer has ended.
func (w *WAL) watch() {
	ticker := time.NewTicker(w.options.StallTimeout / stallTicks)
	defer ticker.Stop()
	began := time.Time{}
	for {
		select {
		case <-w.ended:
			return
		case <-ticker.C:
		}
		switch stalled, withdrawn, uncertain := w.giveUpStalled(); {
		case stalled && began.IsZero():
			began = time.Now()
			w.options.Log.Error("disk does not respond; nothing is appended to the trail until it does",
				"withdrawn", withdrawn, "uncertain", uncertain)
		case !stalled && !began.IsZero():
			w.options.Log.Info("disk responds again; appending to the trail", "after", time.Since(began).Round(time.Millisecond))
			began = time.Time{}
		}
	}
}

// giveUpStalled is a tick of the watch. It reports whether the disk stalls. If so it finishes all appends: the number of
// those that were withdrawn, and of those that were taken by the writer, is for the log.
func (w *WAL) giveUpStalled() (stalled bool, withdrawn, uncertain int) {
	w.mu.Lock()
	w.write.tick()
	w.syncer.flush.tick()
	w.stalled = w.stalls()
	if !w.stalled {
		w.mu.Unlock()
		return false, 0, 0
	}
	queued, taken := w.emptyQueue(), slices.Concat(w.writing, w.syncer.syncing, w.syncer.waiting)
	w.writing, w.syncer.syncing, w.syncer.waiting = nil, nil, nil
	w.freed(0) // those that wait for room fail, too
	w.mu.Unlock()
	finish(queued, ErrStalled)
	finish(taken, errGivenUp)
	return true, len(queued), len(taken)
}

// operation is what the writer or the syncer does with the disk. The zero operation is none.
type operation struct {
	since time.Time
	// ticks is how often the watch has seen it. They count, not the time: a process that was stopped for a while has a disk
	// that responds.
	ticks int
}

func (o *operation) runs() bool { return !o.since.IsZero() }

func (o *operation) tick() {
	if o.runs() {
		o.ticks++
	}
}

// runsFor returns how long an operation has run.
func (o *operation) runsFor(now time.Time) time.Duration {
	if !o.runs() {
		return 0
	}
	return now.Sub(o.since)
}

// stalls reports whether appends have waited for the disk for too long. The caller holds w.mu.
func (w *WAL) stalls() bool {
	return w.write.ticks > stallTicks || w.syncer.awaited() && w.syncer.flush.ticks > stallTicks
}

// responded ends the stall, unless there is another one. The caller holds w.mu.
func (w *WAL) responded() { w.stalled = w.stalled && w.stalls() }

// Stalled returns for how long the disk has not responded; 0 = it responds.
func (w *WAL) Stalled() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stalledFor(time.Now())
}

func (w *WAL) stalledFor(now time.Time) time.Duration {
	if !w.stalled && w.syncer.flush.runsFor(now) < syncPatience {
		return 0
	}
	return max(w.write.runsFor(now), w.syncer.flush.runsFor(now))
}
