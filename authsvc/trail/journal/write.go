package journal

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

// fail refuses records until it is time to try again.
func (j *Journal) fail(err error) { j.broken, j.retry = err, time.Now().Add(retryAfter) }

func (j *Journal) last() *segment { return &j.segments[len(j.segments)-1] }

// put writes frames whole at the end of a segment with room for them, or leaves it as it was.
func (j *Journal) put(frames []byte) error {
	if j.active != nil && j.last().size > 0 && j.last().size+int64(len(frames)) > min(segmentBytes, j.options.MaxBytes/8) {
		j.seal()
	}
	if j.active == nil {
		if err := j.roll(); err != nil {
			return err
		}
	}
	if _, err := j.active.Write(frames); err != nil {
		err = fmt.Errorf("append: %w", err)
		if e := j.active.Truncate(j.last().size); e != nil {
			// What was written of them is the torn end of a segment that nothing follows in.
			j.seal()
			return errors.Join(err, e)
		}
		return err
	}
	return nil
}

// seal ends the active segment; the syncer closes its file.
func (j *Journal) seal() {
	j.syncer.sealed(j.active)
	j.active = nil
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
