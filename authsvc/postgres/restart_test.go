package postgres_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

func TestPostgresRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	both := openReplicas(t, server.URL("postgres"))
	follower := follow(t, both, expectUnavailable(t, "Follow"))
	stop := write(t, both)

	for _, mode := range []pgserver.Mode{pgserver.Immediate, pgserver.Fast} {
		stop.awaitMore(t)
		must(t, server.Restart(t.Context(), mode))
		stop.awaitMore(t)
	}
	acknowledged := stop.end()

	stored := map[uuid.UUID]int{}
	must(t, both.stores[1].Changes(t.Context(), 0, func(c authsvc.Change) error { stored[c.Key.ID]++; return nil }))
	for _, id := range acknowledged {
		if stored[id] != 1 {
			t.Errorf("the acknowledged key %s is there %d times", id, stored[id])
		}
	}
	await(t, "the keyring follows again", func() bool { return follower.Stats().Staleness < time.Second })
}

// follow runs a keyring on the first replica until the test ends, like the service.
func follow(t *testing.T, both *replicas, failed func(error)) *authsvc.Keyring {
	t.Helper()
	store := both.stores[0]
	ring := authsvc.NewKeyring(store, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { store.Listen(ctx, expectUnavailable(t, "Listen")) })
	running.Go(func() { ring.Follow(ctx, 100*time.Millisecond, store.Wake(), failed) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return ring
}

func expectUnavailable(t *testing.T, who string) func(error) {
	return func(err error) {
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s fails with %v", who, err)
		}
	}
}

// writers create keys until they are stopped, and ignore errors of the database.
type writers struct {
	running sync.WaitGroup
	stopped atomic.Bool
	mu      sync.Mutex
	ids     []uuid.UUID // of acknowledged keys
}

func write(t *testing.T, both *replicas) *writers {
	t.Helper()
	w := &writers{}
	for _, store := range slices.Repeat(both.stores[:], 2) {
		w.running.Go(func() {
			for !w.stopped.Load() && t.Context().Err() == nil {
				key := newKey("acme")
				if err := store.Create(t.Context(), key, authsvc.Request{}); err != nil {
					expectUnavailable(t, "Create")(err)
					continue
				}
				w.mu.Lock()
				w.ids = append(w.ids, key.ID)
				w.mu.Unlock()
			}
		})
	}
	t.Cleanup(func() { w.end() })
	return w
}

func (w *writers) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ids)
}

// awaitMore waits until 50 more keys are acknowledged.
func (w *writers) awaitMore(t *testing.T) {
	t.Helper()
	before := w.acknowledged()
	await(t, "50 more keys", func() bool { return w.acknowledged() > before+50 })
}

// end stops the writers and returns the keys that were acknowledged.
func (w *writers) end() []uuid.UUID {
	w.stopped.Store(true)
	w.running.Wait()
	return w.ids
}
