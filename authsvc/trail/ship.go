package trail

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

const (
	// linger is how long a record waits for company: a call that ends sooner costs one row instead of two.
	linger = time.Second
	// batchRows and batchBytes bound what is sent at once: a gRPC message holds 4 MiB.
	batchRows  = 1000
	batchBytes = 3 << 20
	// rowOverhead is what a row of a list takes beside its own bytes, at the most.
	rowOverhead = 6
	// inFlight is how many batches are under way at once. Their order does not matter.
	inFlight = 4
	// drainTime is how long the rows that wait at shutdown have to be stored; the others wait on disk.
	drainTime = 3 * time.Second
)

// Run ships rows until ctx ends, and then, for a short time, what still waits. What it does not get rid of stays on the
// disk for the next process.
func (t *Trail) Run(ctx context.Context) error {
	for more := false; ctx.Err() == nil; {
		if !more {
			t.await(ctx)
		}
		more = t.shipWindow(ctx)
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for drain.Err() == nil && t.shipWindow(drain) {
	}
	if left := t.journal.Waiting(); left > 0 {
		t.log.Warn("request logs wait on the trail for the next start", "bytes", left)
	}
	return nil
}

// await returns when the linger after a first record is over, or when ctx ends.
func (t *Trail) await(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-t.journal.Arrived():
	}
	t.metrics.oldest.Store(time.Now().UnixNano())
	pause(ctx, linger)
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// shipWindow ships the next window and releases it. It answers whether there is more to ship at once.
func (t *Trail) shipWindow(ctx context.Context) (more bool) {
	w, err := t.gather()
	if err != nil {
		t.complain(ctx, 0, err)
		pause(ctx, firstRetry)
		return true
	}
	if w.records > 0 {
		t.metrics.oldest.Store(w.first.UnixNano())
		if !t.sendAll(ctx, w.rows) {
			return t.rewind(ctx)
		}
	}
	t.metrics.folded.Add(float64(w.records - len(w.rows)))
	t.metrics.oldest.Store(0)
	if err := t.journal.Release(w.end); err != nil {
		// It goes on from memory; after a crash these rows would be sent once more.
		t.complain(ctx, 0, err)
	}
	return w.more
}

// rewind goes back to what is not released, because ctx has ended with only some of it sent.
func (t *Trail) rewind(ctx context.Context) (more bool) {
	if err := t.reader.Close(); err != nil {
		t.complain(ctx, 0, err)
	}
	t.reader = t.journal.NewReader()
	return true
}

// sendAll sends rows in batches, several at once, and answers whether all of them arrived before ctx ended.
func (t *Trail) sendAll(ctx context.Context, rows []*logsv1.RequestLog) bool {
	var group errgroup.Group
	group.SetLimit(inFlight)
	for _, batch := range batches(rows) {
		group.Go(func() error { return t.send(ctx, batch) })
	}
	return group.Wait() == nil
}

// batches cuts rows into what can be sent at once.
func batches(rows []*logsv1.RequestLog) [][]*logsv1.RequestLog {
	var cut [][]*logsv1.RequestLog
	first, bytes := 0, 0
	for i, row := range rows {
		size := proto.Size(row) + rowOverhead
		if i-first >= batchRows || bytes+size > batchBytes {
			cut, first, bytes = append(cut, rows[first:i]), i, 0
		}
		bytes += size
	}
	return append(cut, rows[first:])
}
