package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// syncer syncs what was written, for all appenders at once. Its fields are guarded by the journal's lock.
type syncer struct {
	j *Journal
	// dirty holds a token while something is written that is not synced; closed = stop.
	dirty, stopping, done chan struct{}

	// written counts the writes; those up to synced are on the disk, those up to failed may not be, because of failure.
	written, synced, failed uint64
	failure                 error
	// round is closed, and replaced, at the end of each sync.
	round chan struct{}
	// old are the files of sealed segments; folder tells that a segment was made.
	old    []*os.File
	folder bool
}

func (s *syncer) start(j *Journal) {
	s.j, s.round = j, make(chan struct{})
	s.dirty, s.stopping, s.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go s.run()
}

// stop ends the syncer after a last sync.
func (s *syncer) stop() error {
	close(s.stopping)
	<-s.done
	s.j.mu.Lock()
	if s.j.active != nil {
		s.j.seal()
	}
	s.j.mu.Unlock()
	return s.sync()
}

// wrote counts a write and answers its mark.
func (s *syncer) wrote() uint64 {
	s.written++
	signal(s.dirty)
	return s.written
}

func (s *syncer) sealed(f *os.File) {
	s.old = append(s.old, f)
	signal(s.dirty)
}

func (s *syncer) run() {
	defer close(s.done)
	for {
		select {
		case <-s.stopping:
			return
		case <-s.dirty:
		}
		if wait := s.j.options.Fsync; wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-s.stopping:
				timer.Stop()
				return
			case <-timer.C:
			}
		}
		// An error is told to those who wait for the sync, and to the next who append.
		_ = s.sync()
	}
}

// sync brings everything written so far to the disk.
func (s *syncer) sync() error {
	s.j.mu.Lock()
	old, active, mark, folder := s.old, s.j.active, s.written, s.folder
	s.old, s.folder = nil, false
	s.j.mu.Unlock()

	began := time.Now()
	var err error
	if folder {
		err = syncFolder(s.j.options.Dir)
	}
	for _, f := range old {
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if active != nil {
		err = errors.Join(err, active.Sync())
	}
	s.j.options.Synced(time.Since(began))

	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("sync: %w", err)
		s.failed, s.failure = mark, err
		s.j.fail(err)
		// The kernel may have dropped what it could not write, and not say so again (fsync(2)): this file is not
		// written to any more.
		if active != nil && active == s.j.active {
			s.j.seal()
		}
	} else {
		s.synced = mark
	}
	close(s.round)
	s.round = make(chan struct{})
	return err
}

// await waits until a write is synced, where the journal promises that.
func (s *syncer) await(ctx context.Context, mark uint64) error {
	if s.j.options.Fsync > 0 {
		return nil
	}
	for {
		s.j.mu.Lock()
		synced, failed, failure, round := s.synced >= mark, s.failed >= mark, s.failure, s.round
		s.j.mu.Unlock()
		switch {
		case failed:
			return failure
		case synced:
			return nil
		}
		select {
		case <-round:
		case <-ctx.Done():
			return fmt.Errorf("wait for the disk: %w", ctx.Err())
		}
	}
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
