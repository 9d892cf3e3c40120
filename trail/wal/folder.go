package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// ours tells whether the folder is still the one that this process has locked. It is not where it was moved away, or
// its lock was deleted: another process could lock it anew, and take away what is appended here.
func (j *Journal) ours() error {
	there, err := os.Stat(j.lock.Path())
	if err != nil {
		return fmt.Errorf("look for the lock: %w", err)
	}
	held, err := j.lock.Stat()
	if err != nil {
		return fmt.Errorf("look at the lock: %w", err)
	}
	if !os.SameFile(there, held) {
		return fmt.Errorf("%s is not the lock that this process holds", j.lock.Path())
	}
	return nil
}

// inPlace tells whether a segment's file is where a later process will look for it, and as long as it was written; one
// that has been released meanwhile need not be.
func (j *Journal) inPlace(f *os.File, s segment) error {
	if err := j.ours(); err != nil {
		return err
	}
	there, err := os.Stat(filepath.Join(j.options.Dir, s.name()))
	switch {
	case errors.Is(err, os.ErrNotExist) && j.done(s):
		return nil
	case err != nil:
		return fmt.Errorf("look for a segment: %w", err)
	}
	held, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at a segment: %w", err)
	}
	if !os.SameFile(there, held) || held.Size() < s.size {
		return fmt.Errorf("the segment %s has been replaced or shortened by another hand", s.name())
	}
	return nil
}

// done tells whether the whole of a segment is released.
func (j *Journal) done(s segment) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return s.seq < j.released.Segment
}

// remove deletes a segment's file. One that is gone is fine, but not where the whole folder is away: then it would
// come back with the folder.
func (j *Journal) remove(s segment) error {
	err := os.Remove(filepath.Join(j.options.Dir, s.name()))
	if errors.Is(err, os.ErrNotExist) {
		return j.ours()
	}
	return err
}

// shorten notes that a segment's file ends at size, and ends the segment there. It answers where it ended before.
func (j *Journal) shorten(s segment, size int64) (before int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.IndexFunc(j.segments, func(at segment) bool { return at.seq == s.seq })
	at := &j.segments[i]
	before, at.size = at.size, size
	j.size -= before - size
	if i == len(j.segments)-1 && j.active != nil {
		j.seal()
	}
	return before
}
