package wal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/keytrail/keytrail/internal/durable"
)

// syncer syncs what was written, for all appenders at once. Its fields are guarded by the journal's lock.
type syncer struct {
	j *Journal
	// dirty holds a token while something is written that is not synced; stopping is closed to stop.
	dirty, stopping, done chan struct{}

	// next is the round for what is written now.
	next *round
	// failure is why the last sync of new records failed: until one succeeds, Append waits for it in any case.
	failure error
	// old are the files of sealed segments; folder tells that a segment was made.
	old    []*os.File
	folder bool
}

// round is one sync of everything that was written before it began. err is set before done is closed.
type round struct {
	done chan struct{}
	err  error
}

func newRound() *round { return &round{done: make(chan struct{})} }

func (r *round) end(err error) {
	r.err = err
	close(r.done)
}

func (s *syncer) start(j *Journal) {
	s.j, s.next = j, newRound()
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

// wrote notes a write and answers the round to wait for; nil = there is no need to wait.
func (s *syncer) wrote() *round {
	signal(s.dirty)
	if s.j.options.Fsync > 0 && s.failure == nil {
		return nil
	}
	return s.next
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
		if wait := s.wait(); wait > 0 {
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

// wait is how long a sync waits for more to be written: not while appenders wait for it.
func (s *syncer) wait() time.Duration {
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	if s.failure != nil {
		return 0
	}
	return s.j.options.Fsync
}

// sync brings everything written so far to the disk.
func (s *syncer) sync() error {
	s.j.mu.Lock()
	this, old, folder, active := s.next, s.old, s.folder, s.j.active
	s.next, s.old, s.folder = newRound(), nil, false
	var last segment
	if active != nil {
		last = *s.j.last()
	}
	s.j.mu.Unlock()

	began := time.Now()
	err := s.flush(old, folder, active, last)
	s.j.options.Synced(time.Since(began))

	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("sync: %w", err)
		if active != nil {
			s.giveUp(active)
		}
		s.failure = err
		s.j.fail(err)
		// What was written meanwhile may be in that file too.
		s.next.end(err)
		s.next = newRound()
	} else if active != nil || len(old) > 0 { // new records, if their segment has ended too
		s.failure = nil
	}
	this.end(err)
	return err
}

// flush syncs files, and closes those that are sealed.
func (s *syncer) flush(old []*os.File, folder bool, active *os.File, last segment) (err error) {
	if folder {
		err = durable.SyncFolder(s.j.options.Dir)
	}
	for _, f := range old {
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if active != nil {
		err = errors.Join(err, active.Sync(), s.j.inPlace(active, last))
	}
	return err
}

// giveUp writes no more to a file, because the kernel may have dropped what it could not write, and not say so again
// (fsync(2)).
func (s *syncer) giveUp(f *os.File) {
	if f == s.j.active {
		s.j.active = nil
		signal(s.j.arrived) // the segment has ended, see seal
	}
	s.old = slices.DeleteFunc(s.old, func(sealed *os.File) bool { return sealed == f })
	_ = f.Close() // what it could tell is told
}

// await waits for a round, if there is one.
func (r *round) await(ctx context.Context) error {
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the disk: %w", ctx.Err())
	}
}

// makeFolder makes a folder, and those above it that are missing, durably.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return durable.SyncFolder(parent)
}
