package logsvc

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// maxSearches is how many searches of one workspace run at a time at the most. Each takes one connection of the store, of
	// which Postgres has 10 by default and SQLite 4.
	maxSearches = 2
	// maxWaiting is how many more wait for their turn, and maxWait how long at most: less than the time after which a gateway
	// makes the search again elsewhere (app/attempts.go), because it would lose its turn.
	maxWaiting = 50
	maxWait    = time.Second
)

// turns lets searches of one workspace wait while others of it run, so that they leave connections to other workspaces.
type turns struct {
	atOnce int // searches of one workspace at a time

	mu     sync.Mutex
	queues map[string]*queue
}

// newTurns leaves half of the processors to other workspaces: a search that unpacks blocks takes one.
func newTurns() turns {
	return turns{atOnce: max(1, min(maxSearches, runtime.GOMAXPROCS(0)/2)), queues: map[string]*queue{}}
}

// queue is what runs and waits of one workspace.
type queue struct {
	// running has an element for each search that runs. Those that wait are served in the order in which they came.
	running chan struct{}
	// searches run or wait. The queue is removed with the last one.
	searches int
}

// take waits for the turn of a search, which ends when done is called. It returns a TooManySearches fault if the turn does not
// come soon enough.
func (t *turns) take(ctx context.Context, workspaceID string) (done func(), err error) {
	q, ok := t.enter(workspaceID)
	if !ok {
		return nil, errTooManySearches
	}
	late := time.NewTimer(maxWait)
	defer late.Stop()
	select {
	case q.running <- struct{}{}:
		return func() { <-q.running; t.leave(workspaceID) }, nil
	case <-late.C:
		err = errTooManySearches
	case <-ctx.Done():
		err = fmt.Errorf("wait for other searches of the workspace: %w", context.Cause(ctx))
	}
	t.leave(workspaceID)
	return nil, err
}

var errTooManySearches = fault.New(fault.TooManySearches, "too many searches of the workspace at a time; try again later")

// enter adds a search to the queue of its workspace, unless too many are there.
func (t *turns) enter(workspaceID string) (q *queue, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q = t.queues[workspaceID]
	if q == nil {
		q = &queue{running: make(chan struct{}, t.atOnce)}
		t.queues[workspaceID] = q
	}
	if q.searches == t.atOnce+maxWaiting {
		return nil, false
	}
	q.searches++
	return q, true
}

func (t *turns) leave(workspaceID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[workspaceID]
	if q.searches--; q.searches == 0 {
		delete(t.queues, workspaceID)
	}
}
