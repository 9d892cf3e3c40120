package wal

import (
	"errors"
	"fmt"
	"time"
)

// retryAfter is how long a journal that could not write waits before it tries again.
const retryAfter = 100 * time.Millisecond

// write appends frames to the active segment and answers the round of syncing to wait for, if any. The caller holds
// the lock.
func (j *Journal) write(frames []byte) (*round, error) {
	switch {
	case j.closed:
		return nil, errClosed
	case !j.room(len(frames)):
		return nil, ErrFull
	case j.broken != nil && time.Now().Before(j.retry):
		return nil, j.broken
	}
	if err := j.put(frames); err != nil {
		j.fail(err)
		return nil, err
	}
	j.broken = nil
	j.size += int64(len(frames))
	j.last().size += int64(len(frames))
	return j.syncer.wrote(), nil
}

func (j *Journal) room(bytes int) bool { return j.size+j.beside+int64(bytes) <= j.options.MaxBytes }

func (j *Journal) segmentBytes() int64 { return min(largestSegment, j.options.MaxBytes/8) }

// fail refuses records until it is time to try again.
func (j *Journal) fail(err error) { j.broken, j.retry = err, time.Now().Add(retryAfter) }

func (j *Journal) last() *segment { return &j.segments[len(j.segments)-1] }

// put writes frames whole at the end of a segment with room for them, or leaves it as it was.
func (j *Journal) put(frames []byte) error {
	if j.active != nil && j.last().size > 0 && j.last().size+int64(len(frames)) > j.segmentBytes() {
		j.seal()
	}
	if j.active == nil {
		if err := j.roll(); err != nil {
			return err
		}
	}
	if _, err := j.active.Write(frames); err != nil {
		return j.giveUp(fmt.Errorf("append: %w", err))
	}
	return nil
}

// giveUp takes back what was written of frames before err. A segment that holds records ends there: on a full disk it
// may be what fills it, and it only goes, when it is released, once it has ended. If frames cannot be taken back they
// are its torn end.
func (j *Journal) giveUp(err error) error {
	e := j.active.Truncate(j.last().size)
	if e != nil || j.last().size > 0 {
		j.seal()
	}
	return errors.Join(err, e)
}

// seal ends the active segment. The syncer closes its file, and the reader goes past it: until both have, its place on
// the disk is not free.
func (j *Journal) seal() {
	j.syncer.sealed(j.active)
	j.active = nil
	signal(j.arrived)
}

// roll begins a new segment.
func (j *Journal) roll() error {
	if err := j.ours(); err != nil {
		return fmt.Errorf("make a segment: %w", err)
	}
	s := segment{seq: j.next, salt: j.salt}
	f, err := createSegment(j.options.Dir, s)
	if err != nil {
		return err
	}
	j.next++
	j.active, j.segments = f, append(j.segments, s)
	j.syncer.folder = true
	return nil
}
