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
)

const (
	// maxRows bounds the queue: about 200 MB of long rows.
	maxRows = 200_000
	// batchRows is the most rows sent at once; the longest rows then still fit a gRPC message of 4 MiB.
	batchRows = 1000
	// linger is how long a row waits for company: a call that ends sooner costs one row instead of two.
	linger = time.Second
	// drainTime is how long the rows that wait at shutdown have to be stored.
	drainTime = 10 * time.Second
)

// Queue is an authsvc.Trail. Run ships what is appended.
type Queue struct {
	client logsv1.LogServiceClient
	log    *slog.Logger
	// arrived holds a token while rows have arrived since the shipper last looked.
	arrived chan struct{}

	mu   sync.Mutex
	rows []authsvc.Entry
	lost int
}

// New makes an empty queue in front of a log service.
func New(client logsv1.LogServiceClient, log *slog.Logger) *Queue {
	return &Queue{client: client, log: log, arrived: make(chan struct{}, 1)}
}

// Append queues rows. It never waits. Where the queue is full the calls go on and their rows are counted as lost.
func (q *Queue) Append(_ context.Context, rows ...authsvc.Entry) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	fit := min(len(rows), max(0, maxRows-len(q.rows))) // a batch that was put back may have overfilled it
	q.rows = append(q.rows, rows[:fit]...)
	q.lost += len(rows) - fit
	select {
	case q.arrived <- struct{}{}:
	default:
	}
	return nil
}

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
	if waiting := q.waiting(); waiting > 0 {
		q.log.Error("request logs lost: the log service did not take them before shutdown", "rows", waiting)
	}
	return nil
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
	if q.lost > 0 {
		q.log.Error("request logs lost: the queue is full", "rows", q.lost)
		q.lost = 0
	}
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
