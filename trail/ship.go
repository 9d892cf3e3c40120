package trail

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/trail/wal"
)

const (
	// linger is how long the first record of a window waits for more. The records of a call that is shorter make one row.
	linger = time.Second
	// batchRows and batchBytes limit what is sent at once: the log service accepts 5,000 records and 4 MiB. Every batch costs a
	// distributed store a commit on several nodes, so batches are as long as possible.
	batchRows  = 5000
	batchBytes = 3 << 20
	// recordOverhead is the maximum size of the tag and length of a repeated field.
	recordOverhead = 6
	// maxInFlight is how many batches are sent concurrently. Their order does not matter.
	maxInFlight = 4
	// minBackoff and maxBackoff limit the wait before a batch is sent again.
	minBackoff  = 100 * time.Millisecond
	maxBackoff  = 5 * time.Second
	sendTimeout = 30 * time.Second
	// drainTimeout is how long Run goes on shipping after its context has ended.
	drainTimeout = 3 * time.Second
	// stopTimeout is how long Run waits for the disk after that.
	stopTimeout = time.Second
)

// shipper is the state of one Run.
type shipper struct {
	*Trail
	reader   *wal.Reader
	released wal.Position
	// deferred are rows in progress that wait for the next window.
	deferred []row
	// draining is closed when the drain begins.
	draining <-chan struct{}
}

// Run ships rows until ctx ends, and then for at most drainTimeout what is left. Rows that are not shipped by then stay on
// disk for the next process. Only one Run at a time may be active. If the disk does not respond at the end, Run returns
// wal.ErrStalled and leaves behind the goroutine that waits for it: nothing can end a system call.
func (t *Trail) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- t.ship(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(drainTimeout + stopTimeout)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		return fmt.Errorf("stop shipping: %w", wal.ErrStalled)
	}
}

// ship is Run, however long the disk takes.
func (t *Trail) ship(ctx context.Context) error {
	var adopting sync.WaitGroup
	adopting.Go(func() { t.adoptAbandoned(ctx) })
	defer adopting.Wait()
	s := t.newShipper(ctx.Done())
	// Batches in flight when ctx ends are completed: canceled, they would have to be sent again.
	sending, cancel := withGracePeriod(ctx, drainTimeout)
	defer cancel()
	for more := false; ctx.Err() == nil; {
		if !more {
			s.awaitRecords(ctx)
		}
		more = s.shipWindow(sending)
	}
	return s.drain(sending)
}

func (t *Trail) newShipper(draining <-chan struct{}) *shipper {
	s := &shipper{Trail: t, reader: t.wal.NewReader(), draining: draining}
	s.released = s.reader.Position()
	return s
}

// withGracePeriod returns a context that ends d after ctx, or when it is canceled.
func withGracePeriod(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	graceful, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return graceful, func() {
		stop()
		cancel()
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// isDraining reports whether the drain has begun.
func (s *shipper) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// drain ships what is left until ctx ends, and closes the reader.
func (s *shipper) drain(ctx context.Context) error {
	for ctx.Err() == nil && s.shipWindow(ctx) {
	}
	if bytes := s.wal.BacklogBytes(); bytes > 0 {
		s.log.Warn("request logs not shipped before shutdown; they stay on the trail for the next start", "bytes", bytes)
	}
	if err := s.reader.Close(); err != nil {
		return fmt.Errorf("close the reader of the trail: %w", err)
	}
	return nil
}

// awaitRecords returns when linger has passed since the first record, or when ctx ends. Deferred rows have been waiting
// already.
func (s *shipper) awaitRecords(ctx context.Context) {
	if len(s.deferred) == 0 {
		select {
		case <-ctx.Done():
			return
		case <-s.wal.Arrived():
		}
		if s.wal.BacklogBytes() == 0 {
			// The records were part of the last window, or a segment has ended whose records are all released. The reader
			// moves past that segment at once, because it may be what fills the disk.
			return
		}
		s.oldest.Store(time.Now().UnixNano())
	}
	sleep(ctx, linger)
}

// shipWindow ships and releases the next window. It reports whether there is more to ship at once.
func (s *shipper) shipWindow(ctx context.Context) (more bool) {
	w, err := s.readWindow()
	if err != nil {
		s.retrying(err)
		sleep(ctx, minBackoff)
		return true
	}
	s.deferInProgress(w)
	if !w.first.IsZero() {
		s.oldest.Store(w.first.UnixNano())
	}
	if !s.sendAll(ctx, w.rows) {
		return false
	}
	switch {
	case w.more: // the next window sets it
	case len(s.deferred) > 0:
		s.oldest.Store(s.deferred[0].appended.UnixNano())
	default:
		s.oldest.Store(0)
	}
	s.metrics.merged.Add(float64(w.merged))
	s.release(w.end)
	return w.more
}

// retrying logs why rows are not shipped yet.
func (t *Trail) retrying(err error) {
	t.logRetry.Do(func() {
		t.log.Warn("request logs wait on the trail; retrying", "bytes", t.wal.BacklogBytes(), "error", err)
	})
}

// release frees the space of what was shipped.
func (s *shipper) release(end wal.Position) {
	if end == s.released {
		return
	}
	s.released = end
	if err := s.wal.Release(end); err != nil {
		// Shipping continues. After a crash these rows would be sent again.
		s.retrying(err)
	}
	s.deadLetters.refillReserve()
}

// sendAll sends rows in batches, concurrently. It reports whether all of them were handled before ctx ended.
func (s *shipper) sendAll(ctx context.Context, rows []row) bool {
	var group errgroup.Group
	group.SetLimit(maxInFlight)
	for _, batch := range batches(rows) {
		group.Go(func() error { return s.send(ctx, batch) })
	}
	return group.Wait() == nil
}

// batches splits rows into what can be sent at once.
func batches(rows []row) (all [][]*logsv1.RequestLogRecord) {
	var batch []*logsv1.RequestLogRecord
	bytes := 0
	for _, row := range rows {
		size := proto.Size(row.record) + recordOverhead
		if len(batch) >= batchRows || bytes+size > batchBytes {
			all, batch, bytes = append(all, batch), nil, 0
		}
		batch, bytes = append(batch, row.record), bytes+size
	}
	if len(batch) > 0 {
		all = append(all, batch)
	}
	return all
}

// send sends a batch until every row is stored or in the dead-letter file. It returns an error only if ctx ends before.
func (s *shipper) send(ctx context.Context, batch []*logsv1.RequestLogRecord) error {
	draining := s.draining
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		err := s.sendOnce(ctx, batch)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("send %d rows: %w", len(batch), ctx.Err())
		}
		if status.Code(err) == codes.InvalidArgument && len(batch) > 1 {
			return s.sendHalves(ctx, batch) // to isolate the invalid row
		}
		s.retrying(err)
		select {
		case <-draining:
			// The drain has no time for long waits. It begins once.
			backoff, draining = minBackoff/2, nil
		case <-ctx.Done():
		case <-time.After(backoff/2 + rand.N(backoff/2)): // jitter, so that replicas do not retry in step
		}
		if status.Code(err) == codes.ResourceExhausted && len(batch) > 1 {
			return s.sendHalves(ctx, batch) // it may exceed a size limit on the way
		}
	}
}

// sendHalves sends the halves of a batch one after the other, so that a log service that refuses everything does not receive
// more and more concurrent batches.
func (s *shipper) sendHalves(ctx context.Context, batch []*logsv1.RequestLogRecord) error {
	middle := len(batch) / 2
	if err := s.send(ctx, batch[:middle]); err != nil {
		return err
	}
	return s.send(ctx, batch[middle:])
}

// sendOnce sends a batch once, and writes the rows that the log service refuses permanently to the dead-letter file. It
// returns INVALID_ARGUMENT if a batch of several rows is refused as a whole.
func (s *shipper) sendOnce(ctx context.Context, batch []*logsv1.RequestLogRecord) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	var refused []deadLetter
	response, err := s.client.RecordRequestLogs(ctx, &logsv1.RecordRequestLogsRequest{Records: batch})
	if err == nil {
		refused, err = refusedRows(batch, response.GetRefused())
	}
	if status.Code(err) == codes.InvalidArgument && len(batch) == 1 {
		refused, err = []deadLetter{{record: batch[0], reason: "malformed", message: status.Convert(err).Message()}}, nil
	}
	if err != nil {
		return err
	}
	if err := s.setAside(refused); err != nil {
		return err
	}
	s.metrics.shipped.Add(float64(len(batch) - len(refused)))
	return nil
}

// refusedRows returns the rows that a response refuses. A response that does not identify them is treated as
// INVALID_ARGUMENT, as if the batch had been refused as a whole.
func refusedRows(batch []*logsv1.RequestLogRecord, refused []*logsv1.RefusedRequestLog) ([]deadLetter, error) {
	letters, last := make([]deadLetter, 0, len(refused)), -1
	for _, r := range refused {
		i := int(r.GetIndex())
		if i <= last || i >= len(batch) || r.GetRequestLogId() != batch[i].GetRequestLog().GetId() {
			return nil, status.Errorf(codes.InvalidArgument, "refused under a wrong index or id: %s", r.GetReason())
		}
		letters, last = append(letters, deadLetter{record: batch[i], reason: r.GetReason(), message: r.GetMessage()}), i
	}
	return letters, nil
}

// setAside writes rows to the dead-letter file.
func (t *Trail) setAside(letters []deadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	if err := t.deadLetters.write(time.Now(), letters); err != nil {
		return err
	}
	t.metrics.deadLettered.Add(float64(len(letters)))
	last := letters[len(letters)-1]
	t.logDeadLetter.Do(func() {
		t.log.Error("request logs refused permanently by the log service; written to the dead-letter file", "rows", len(letters),
			"file", t.deadLetters.path(), "last_id", last.record.GetRequestLog().GetId(), "reason", last.reason, "message", last.message)
	})
	return nil
}
