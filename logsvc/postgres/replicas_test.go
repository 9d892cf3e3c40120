package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/postgres"
)

const day = 24 * time.Hour

// rows returns reported entries of one workspace, one per millisecond.
func rows(workspace string, from time.Time, n int) []logsvc.Entry {
	entries := make([]logsvc.Entry, n)
	for i := range entries {
		entries[i] = logsvc.Entry{
			ID: uuid7.New(from.Add(time.Duration(i) * time.Millisecond)), WorkspaceID: workspace,
			KeyID: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"), KeyName: "k", KeyLast4: "x7Qz",
			AgentType: "agent", Method: "GET", Endpoint: fmt.Sprintf("/v1/item%05d", i),
			Status: 200, Latency: time.Millisecond, Reported: true, CallCount: 1,
		}
	}
	return entries
}

// all returns all recent rows of a workspace, newest first.
func all(t *testing.T, store logsvc.Store, workspace string) []logsvc.Entry {
	t.Helper()
	found, err := store.Oldest(t.Context(), workspace, logsvc.Range{To: uuid.Max}, 1_000_000)
	must(t, err)
	slices.Reverse(found)
	return found
}

// newestFirst returns the entries in the order of a list.
func newestFirst(entries []logsvc.Entry) []logsvc.Entry {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b logsvc.Entry) int { return slices.Compare(b.ID[:], a.ID[:]) })
	return sorted
}

func TestBatchRepeatedAndReorderedOnTwoReplicasIsStoredOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	replicas := []*postgres.Store{open(t, url), open(t, url)}
	batch := rows("acme", time.Now().Add(-time.Minute), 2000)
	progress := slices.Clone(batch)
	for i := range progress {
		progress[i].Status, progress[i].Latency, progress[i].Reported = 0, 0, false
	}
	group, ctx := errgroup.WithContext(t.Context())
	for i := range 12 {
		send := slices.Clone([][]logsvc.Entry{batch, progress}[i%2])
		random := rand.New(rand.NewPCG(uint64(i), 1))
		random.Shuffle(len(send), func(a, b int) { send[a], send[b] = send[b], send[a] })
		group.Go(func() error { return replicas[i/2%2].Record(ctx, send) })
	}
	must(t, group.Wait())
	if diff := cmp.Diff(newestFirst(batch), all(t, replicas[0], "acme")); diff != "" {
		t.Errorf("stored (-sent +found):\n%s", diff)
	}
}

func TestReplicasCreateAndDropTheSameDaysConcurrently(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	replicas := []*postgres.Store{open(t, url), open(t, url), open(t, url)}
	now := time.Now().Truncate(time.Millisecond)
	group, ctx := errgroup.WithContext(t.Context())
	for _, store := range replicas {
		group.Go(func() error {
			for back := 12; back >= 0; back-- {
				at := now.Add(-time.Duration(back) * day)
				if err := store.Record(ctx, rows("acme", at, 3)); err != nil {
					return fmt.Errorf("record: %w", err)
				}
				if _, err := store.Expire(ctx, uuid7.First(at.Add(-2*day)), math.MaxInt); err != nil {
					return fmt.Errorf("expire: %w", err)
				}
				query := logsvc.ViewQuery{WorkspaceID: "acme", Range: logsvc.Range{To: uuid.Max}, Rows: 9, Blocks: 9}
				if _, err := store.View(ctx, query); err != nil {
					return fmt.Errorf("view: %w", err)
				}
			}
			return nil
		})
	}
	must(t, group.Wait())
	kept := all(t, replicas[0], "acme")
	if oldest := kept[len(kept)-1].Time(); oldest.Before(now.Add(-3 * day)) {
		t.Errorf("a row of %v still exists", oldest)
	}
	young := 0
	for _, e := range kept {
		if !e.Time().Before(now.Add(-2 * day)) {
			young++
		}
	}
	if want := 3 * 3 * 3; young != want {
		t.Errorf("%d rows of the last two days, want %d", young, want)
	}
}

func TestReplicaWithAClockAheadOrBehindStoresItsRows(t *testing.T) {
	t.Parallel()
	store := open(t, pgtest.Database(t, migrate))
	for name, at := range map[string]time.Time{
		"ten-minutes-ahead": time.Now().Add(10 * time.Minute), "a-day-ahead": time.Now().Add(day - time.Minute),
		"a-day-behind": time.Now().Add(-day), "29-days-behind": time.Now().Add(-29 * day),
	} {
		batch := rows(name, at, 5)
		if err := store.Record(t.Context(), batch); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(newestFirst(batch), all(t, store, name)); diff != "" {
			t.Errorf("%s (-sent +found):\n%s", name, diff)
		}
	}
}

func TestPostgresRestartUnderLoadLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	url := server.URL("postgres")
	replicas := []*postgres.Store{open(t, url), open(t, url)}
	var mu sync.Mutex
	var acknowledged []logsvc.Entry
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				batch := rows("acme", time.Now(), 50)
				// As the trail does: again and again, until it is acknowledged.
				for ctx.Err() == nil && replicas[i%2].Record(ctx, batch) != nil {
				}
				if ctx.Err() == nil {
					mu.Lock()
					acknowledged = append(acknowledged, batch...)
					mu.Unlock()
				}
			}
		})
	}
	grown := func() {
		t.Helper()
		mu.Lock()
		before := len(acknowledged)
		mu.Unlock()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.After(2 * time.Minute); ; {
			select {
			case <-deadline:
				t.Fatal("nothing is acknowledged any more")
			case <-tick.C:
			}
			mu.Lock()
			done := len(acknowledged) > before+500
			mu.Unlock()
			if done {
				return
			}
		}
	}
	grown()
	for _, mode := range []pgserver.Mode{pgserver.Immediate, pgserver.Fast} {
		must(t, server.Restart(t.Context(), mode))
		grown()
	}
	stop()
	senders.Wait()
	found := map[uuid.UUID]int{}
	for _, e := range all(t, replicas[0], "acme") {
		found[e.ID]++
	}
	for _, e := range acknowledged {
		if found[e.ID] != 1 {
			t.Fatalf("row %v was acknowledged and is stored %d times", e.ID, found[e.ID])
		}
	}
}

func TestInterruptedPurgeContinues(t *testing.T) {
	t.Parallel()
	store := open(t, pgtest.Database(t, migrate))
	must(t, store.Record(t.Context(), rows("acme", time.Now().Add(-time.Hour), 100)))
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := store.PurgeRecent(cut, "acme", uuid.Max); !errors.Is(err, context.Canceled) {
		t.Errorf("a purge with a cancelled context: %v", err)
	}
	if n, more, err := store.PurgeRecent(t.Context(), "acme", uuid.Max); err != nil || n != 100 || more {
		t.Errorf("purged %d, %v", n, err)
	}
}
