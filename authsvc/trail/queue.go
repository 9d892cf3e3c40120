// Package trail carries rows from the auth service to the log service. This first form is a bounded queue in
// memory: it outlives an absence of the log service, not of its own process.
package trail

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// maxRows bounds the queue by rows, not by bytes: about 35 MB for the rows and some 100 bytes of text for each
	// with common paths; up to 3.5 KB each, 700 MB in all, where every row has the longest path and agent id.
	maxRows = 200_000
	// batchRows is the most rows sent at once; the longest rows then still fit a gRPC message of 4 MiB.
	batchRows = 1000
	// linger is how long a row waits for company: a call that ends sooner costs one row instead of two.
	linger = time.Second
	// drainTime is how long the rows that wait at shutdown have to be stored.
	drainTime = 3 * time.Second
	// tellEvery is how often, at the most, the log tells of rows that found no room.
	tellEvery = time.Minute
)

// Queue is an authsvc.Trail. Run ships what is appended.
type Queue struct {
	client logsv1.LogServiceClient
	log    *slog.Logger
	// arrived holds a token while rows have arrived since the shipper last looked.
	arrived chan struct{}

	mu   sync.Mutex
	rows []authsvc.Entry
	// refused counts the rows that found no room since the log was told, at the time of told.
	refused int
	told    time.Time
}

// New makes an empty queue in front of a log service.
func New(client logsv1.LogServiceClient, log *slog.Logger) *Queue {
	return &Queue{client: client, log: log, arrived: make(chan struct{}, 1)}
}

// Append queues rows, all or none. It never waits: where they find no room it counts them, tells the log and answers
// a fault.Unavailable.
func (q *Queue) Append(_ context.Context, rows ...authsvc.Entry) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rows)+len(rows) > maxRows {
		q.refused += len(rows)
		q.tell()
		return fault.New(fault.Unavailable, "the queue of request logs is full; try again later")
	}
	q.rows = append(q.rows, rows...)
	select {
	case q.arrived <- struct{}{}:
	default:
	}
	return nil
}

// tell logs how many rows found no room, where the last time was long enough ago; the caller holds the lock.
func (q *Queue) tell() {
	if now := time.Now(); q.refused > 0 && now.Sub(q.told) >= tellEvery {
		q.log.Error("request logs not taken: the queue is full", "rows", q.refused)
		q.refused, q.told = 0, now
	}
}

// Full tells whether the queue has no room left.
func (q *Queue) Full() bool { return q.waiting() >= maxRows }

// Run ships rows until ctx ends, and then what still waits.
func (q *Queue) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		q.await(ctx)
		q.ship(ctx, q.take())
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for q.waiting() > 0 && drain.Err() == nil {
		q.ship(drain, q.take())
	}
	q.account()
	return nil
}

// account tells the log of every row that it was not told of yet and that nothing can be done for any more.
func (q *Queue) account() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rows) > 0 {
		q.log.Error("request logs lost: the log service did not take them before shutdown", "rows", len(q.rows))
	}
	q.told = time.Time{}
	q.tell()
}

// await returns when a batch is full, when the linger after a first row is over, or when ctx ends.
func (q *Queue) await(ctx context.Context) {
	if q.waiting() == 0 {
		select {
		case <-ctx.Done():
			return
		case <-q.arrived:
		}
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for q.waiting() < batchRows {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-q.arrived:
		}
	}
}

func (q *Queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.rows)
}

// take removes the next batch from the queue.
func (q *Queue) take() []authsvc.Entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tell()
	n := min(batchRows, len(q.rows))
	batch := q.rows[:n:n]
	if q.rows = q.rows[n:]; len(q.rows) == 0 {
		q.rows = nil // lets go of the array behind it
	}
	return batch
}

// putBack returns rows that could not be shipped to the front.
func (q *Queue) putBack(batch []authsvc.Entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rows = append(batch, q.rows...)
}
