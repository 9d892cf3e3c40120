package wal

import (
	"context"
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

	// next is the batch of what is written now.
	next *syncBatch
	// failure is the error of the last sync of new records. While it is not nil, Append waits for a sync in any case.
	failure error
	// ended are files of segments that have ended, to be synced and closed.
	ended []*os.File
	// dirChanged is set when a segment was created.
	dirChanged bool
}

// syncBatch is one sync of everything that was written before the sync began. err is set before done is closed.
type syncBatch struct {
	done chan struct{}
	err  error
}

func newSyncBatch() *syncBatch { return &syncBatch{done: make(chan struct{})} }

func (b *syncBatch) finish(err error) {
	b.err = err
	close(b.done)
}

// wait waits for a batch; nil is no batch.
func (b *syncBatch) wait(ctx context.Context) error {
	if b == nil {
		return nil
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the disk: %w", ctx.Err())
	}
}

func (s *syncer) start(w *WAL) {
	s.w, s.next = w, newSyncBatch()
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

// written records a write and returns the batch to wait for, or nil if there is no need to wait.
func (s *syncer) written() *syncBatch {
	signal(s.dirty)
	if s.w.options.Fsync > 0 && s.failure == nil {
		return nil
	}
	return s.next
}

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
	s.w.mu.Lock()
	batch, ended, dirChanged, active := s.next, s.ended, s.dirChanged, s.w.active
	s.next, s.ended, s.dirChanged = newSyncBatch(), nil, false
	s.w.mu.Unlock()

	began := time.Now()
	err := s.flush(ended, dirChanged, active)
	s.w.options.Synced(time.Since(began))

	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("sync: %w", err)
		if active != nil {
			s.abandon(active)
		}
		s.failure = err
		s.w.fail(err)
		// What was written during the sync may be in the same file.
		s.next.finish(err)
		s.next = newSyncBatch()
	} else if active != nil || len(ended) > 0 { // only a sync of new records shows that the disk works
		s.failure = nil
	}
	batch.finish(err)
	return err
}

// flush syncs files and closes those that have ended.
func (s *syncer) flush(ended []*os.File, dirChanged bool, active *os.File) (err error) {
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
// would succeed nevertheless.
func (s *syncer) abandon(f *os.File) {
	if f == s.w.active {
		s.w.active = nil
		signal(s.w.arrived) // as in endSegment
	}
	s.ended = slices.DeleteFunc(s.ended, func(ended *os.File) bool { return ended == f })
	_ = f.Close() // the error of the sync is already reported
}
