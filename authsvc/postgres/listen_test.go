package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/postgres"
	"github.com/keytrail/keytrail/internal/fault"
)

func TestWakeFollowsEveryChangeOnAnyReplica(t *testing.T) {
	t.Parallel()
	both := openReplicas(t, database(t))
	here, there := both.stores[0], both.stores[1]
	listen(t, here, func(err error) { t.Error(err) })
	expectWake(t, here, "the connection")

	key := newKey("acme")
	must(t, there.Create(t.Context(), key, authsvc.Request{}))
	expectWake(t, here, "Create")
	_, err := there.Update(t.Context(), "acme", key.ID, authsvc.Request{}, rename("renamed"))
	must(t, err)
	expectWake(t, here, "Update")
	must(t, there.Delete(t.Context(), "acme", key.ID, anyKey))
	expectWake(t, here, "Delete")
}

func TestListenConnectsAgain(t *testing.T) {
	t.Parallel()
	url := database(t)
	store, failures := open(t, url), make(chan error, 100)
	listen(t, store, func(err error) { failures <- err })
	expectWake(t, store, "the connection")

	for range 2 {
		_, err := connect(t, url).Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
		must(t, err)
		if err := <-failures; fault.KindOf(err) != fault.Unavailable {
			t.Errorf("the loss of the connection is told as %v", err)
		}
		// Notifications were lost meanwhile, so a new connection wakes the reader.
		expectWake(t, store, "the new connection")
		must(t, store.Create(t.Context(), newKey("acme"), authsvc.Request{}))
		expectWake(t, store, "a change after that")
	}
}

func TestListenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url := database(t)
	store := open(t, url)
	ended := listen(t, store, func(err error) { t.Error(err) })
	expectWake(t, store, "the connection")
	ended()
	admin := connect(t, url)
	await(t, "the connection is given back", func() bool {
		var listeners int
		must(t, admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&listeners))
		return listeners == 0
	})
}

// listen runs Listen until the test ends or the returned function is called, which waits for its end.
func listen(t *testing.T, store *postgres.Store, failed func(error)) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { store.Listen(ctx, failed) })
	end = func() { cancel(); running.Wait() }
	t.Cleanup(end)
	return end
}

func expectWake(t *testing.T, store *postgres.Store, why string) {
	t.Helper()
	select {
	case <-store.Wake():
	case <-time.After(time.Minute):
		t.Fatalf("no wake after %s", why)
	}
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < time.Minute; <-tick.C {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
