package wal

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/keytrail/keytrail/internal/durable"
)

// syncer syncs what was written, for all appenders together. Its fields are guarded by WAL.mu.
type syncer struct {
	w *WAL
	// dirty holds a token while something written is not synced.
	dirty, stopping, done chan struct{}

	// waiting are entries that are written and not covered by the sync that runs in the operation flush, and syncing those
	// that are.
	waiting, syncing []*entry
	flush            operation
	// failure is the error of the last sync of new records. While it is not nil, Append waits for a sync in any case.
	failure error
	// ended are files of segments that have ended, to be synced and closed.
	ended []*os.File
	// dirChanged is set when a segment was created.
	dirChanged bool
}

func (s *syncer) start(w *WAL) {
	s.w = w
	s.dirty, s.stopping, s.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go s.run()
}

// stop stops the syncer after a last sync.
func (s *syncer) stop() error {
	close(s.stopping)
	<-s.done
	s.w.mu.Lock()
	if s.w.active != nil {
		s.w.endSegment()
	}
	s.w.mu.Unlock()
	return s.sync()
}

// awaited reports whether Append waits for a sync. The caller holds WAL.mu.
func (s *syncer) awaited() bool { return s.w.options.Fsync == 0 || s.failure != nil }

// closeLater closes a file after the next sync.
func (s *syncer) closeLater(f *os.File) {
	s.ended = append(s.ended, f)
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
		if delay := s.delay(); delay > 0 {
			timer := time.NewTimer(delay)
			select {
			case <-s.stopping:
				timer.Stop()
				return
			case <-timer.C:
			}
		}
		_ = s.sync() // Append returns the error
	}
}

// delay returns how long a sync waits for more writes; 0 while appenders wait for it.
func (s *syncer) delay() time.Duration {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.failure != nil {
		return 0
	}
	return s.w.options.Fsync
}

// sync syncs everything written so far.
func (s *syncer) sync() error {
	began := time.Now()
	s.w.mu.Lock()
	ended, dirChanged, active := s.ended, s.dirChanged, s.w.active
	s.syncing, s.waiting = s.waiting, nil
	s.ended, s.dirChanged, s.flush = nil, false, operation{since: began}
	s.w.mu.Unlock()

	err := s.syncFiles(ended, dirChanged, active)
	s.w.options.Synced(time.Since(began))
	synced, abandoned := s.synced(err, active, len(ended) > 0)
	if err == nil {
		finish(synced, nil)
		return nil
	}
	err = fmt.Errorf("sync: %w", err)
	finish(synced, fmt.Errorf("%w; %w", err, ErrUncertain))
	if abandoned != nil {
		_ = abandoned.Close() // the error of the sync is already reported
	}
	return err
}

// synced accounts for a sync that returned err. It returns the entries to finish, and the file to close.
func (s *syncer) synced(err error, active *os.File, hadEnded bool) (entries []*entry, abandoned *os.File) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	entries, s.syncing, s.flush = s.syncing, nil, operation{}
	if err != nil {
		s.failure = fmt.Errorf("sync: %w", err)
		s.w.fail(s.failure)
		// What was written during the sync may be in the same file.
		entries, s.waiting = append(entries, s.waiting...), nil
		s.abandon(active)
		abandoned = active
	} else if active != nil || hadEnded { // only a sync of new records shows that the disk works
		s.failure = nil
	}
	s.w.responded()
	return entries, abandoned
}

// syncFiles syncs files and closes those that have ended.
func (s *syncer) syncFiles(ended []*os.File, dirChanged bool, active *os.File) (err error) {
	if dirChanged {
		err = durable.SyncDir(s.w.options.Dir)
	}
	for _, f := range ended {
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if active != nil {
		err = errors.Join(err, active.Sync())
	}
	return err
}

// abandon stops writing to a file whose sync failed: the kernel may have dropped its dirty pages, and the next fsync(2)
// would succeed nevertheless. The caller holds WAL.mu, and closes the file.
func (s *syncer) abandon(f *os.File) {
	if f != nil && f == s.w.active {
		s.w.active = nil
		signal(s.w.arrived) // as in endSegment
	}
	s.ended = slices.DeleteFunc(s.ended, func(ended *os.File) bool { return ended == f })
}
