package trail

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/trail/wal"
)

const (
	// linger is how long the first record of a window waits for company: a call that is shorter costs one row instead of
	// two.
	linger = time.Second
	// batchRows and batchBytes bound what is sent at once: a gRPC message holds 4 MiB.
	batchRows  = 1000
	batchBytes = 3 << 20
	// recordOverhead is what a record of a list takes beside its own bytes, at the most.
	recordOverhead = 6
	// inFlight is how many batches are under way at once. Their order does not matter.
	inFlight = 4
	// drainTime is how long the rows that wait at shutdown have to be stored; the others wait on disk.
	drainTime = 3 * time.Second
)

// shipper is one Run of a trail.
type shipper struct {
	*Trail
	reader *wal.Reader
	// released is the place up to which records are done with.
	released wal.Position
	// held are rows of calls that were under way when the last window was gathered. They stand behind released.
	held []row
	// ending is closed when the drain begins.
	ending <-chan struct{}
}

// Run ships rows until ctx ends, and then, for a short time, what still waits. What it does not get rid of stays on the
// disk for the next process. One Run may be under way at a time.
func (t *Trail) Run(ctx context.Context) error {
	var inheriting sync.WaitGroup
	inheriting.Go(func() { t.inherit(ctx) })
	defer inheriting.Wait()
	s := t.newShipper(ctx.Done())
	// What is under way when ctx ends goes on: cut off, it would only have to be sent once more.
	sending, cancel := outlive(ctx, drainTime)
	defer cancel()
	for more := false; ctx.Err() == nil; {
		if !more {
			s.await(ctx)
		}
		more = s.shipWindow(sending)
		s.tellRest(false)
	}
	return s.drain(sending)
}

func (t *Trail) newShipper(ending <-chan struct{}) *shipper {
	s := &shipper{Trail: t, reader: t.journal.NewReader(), ending: ending}
	s.released = s.reader.Position()
	return s
}

// outlive answers a context that ends so long after ctx, or when it is cancelled.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// drain ships what waits, until ctx ends at the latest, and ends the shipper.
func (s *shipper) drain(ctx context.Context) error {
	for ctx.Err() == nil && s.shipWindow(ctx) {
	}
	s.tellRest(true)
	if left := s.journal.Waiting(); left > 0 {
		s.log.Warn("request logs wait on the trail for the next start", "bytes", left)
	}
	if err := s.reader.Close(); err != nil {
		return fmt.Errorf("close what the trail is read from: %w", err)
	}
	return nil
}

// await returns when the linger after a first record is over, or when ctx ends. Rows that are held have waited for it
// already.
func (s *shipper) await(ctx context.Context) {
	if len(s.held) == 0 {
		select {
		case <-ctx.Done():
			return
		case <-s.journal.Arrived():
		}
		if s.journal.Waiting() == 0 {
			// What has arrived went with the window before. Or a segment has ended, of which all is released: it may be
			// what fills the disk, so the reader is to go past it now, and not with the next record.
			return
		}
		s.metrics.oldest.Store(time.Now().UnixNano())
	}
	pause(ctx.Done(), linger)
}

// pause waits for a time, or until one of ends is closed.
func pause(end <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-end:
	case <-timer.C:
	}
}

// shipWindow ships the next window and releases it. It answers whether there is more to ship at once.
func (s *shipper) shipWindow(ctx context.Context) (more bool) {
	w, err := s.gather()
	if err != nil {
		s.delays.add(1, err)
		pause(ctx.Done(), firstRetry)
		return true
	}
	s.hold(w)
	if !w.first.IsZero() {
		s.metrics.oldest.Store(w.first.UnixNano())
	}
	if !s.sendAll(ctx, w.rows) {
		return false
	}
	if !w.more { // where there is, its age is told with the next window, and until then it is hardly younger
		s.metrics.oldest.Store(s.oldestHeld())
	}
	s.metrics.folded.Add(float64(w.folded))
	s.release(w.end)
	return w.more
}

// oldestHeld is when the oldest record of a row was appended that is held, Unix time in ns; 0 = none is.
func (s *shipper) oldestHeld() int64 {
	if len(s.held) == 0 {
		return 0
	}
	return s.held[0].appended.UnixNano()
}

// release frees what was shipped, or was no record.
func (s *shipper) release(end wal.Position) {
	if end == s.released {
		return
	}
	s.released = end
	if err := s.journal.Release(end); err != nil {
		// It goes on from memory; after a crash these rows would be sent once more.
		s.delays.add(1, err)
	}
	s.dead.refill()
}

// sendAll sends rows in batches, several at once, and answers whether all of them arrived before ctx ended.
func (s *shipper) sendAll(ctx context.Context, rows []row) bool {
	var group errgroup.Group
	group.SetLimit(inFlight)
	for _, batch := range batches(rows) {
		group.Go(func() error { return s.send(ctx, batch) })
	}
	return group.Wait() == nil
}

// batches cuts rows into what can be sent at once.
func batches(rows []row) (cut [][]*logsv1.RequestLogRecord) {
	var batch []*logsv1.RequestLogRecord
	bytes := 0
	for _, row := range rows {
		size := proto.Size(row.record) + recordOverhead
		if len(batch) >= batchRows || bytes+size > batchBytes {
			cut, batch, bytes = append(cut, batch), nil, 0
		}
		batch, bytes = append(batch, row.record), bytes+size
	}
	if len(batch) > 0 {
		cut = append(cut, batch)
	}
	return cut
}
