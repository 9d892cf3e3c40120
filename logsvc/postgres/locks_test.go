package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/postgres"
)

// chaos runs everything that takes locks on one replica.
type chaos struct {
	store  *postgres.Store
	sealer *logsvc.Sealer
	search *logsvc.Searcher
	now    time.Time
	mu     sync.Mutex
	// recorded are the rows of acme that nothing deletes.
	recorded map[uuid.UUID]bool
}

func newChaos(store *postgres.Store, now time.Time) *chaos {
	sealing := logsvc.SealConfig{SealRows: 20, BlockRows: 200, Now: func() time.Time { return now }}
	return &chaos{
		store: store, sealer: logsvc.NewSealer(store, sealing), now: now, recorded: map[uuid.UUID]bool{},
		search: logsvc.NewSearcher(store, func(string, logsvc.Block, error) {}),
	}
}

// operations are what runs at the same time. Rows arrive for days that are dropped again and again.
func (c *chaos) operations() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"record": c.record, "record days that expire": c.recordOld,
		"expire": func(ctx context.Context) error {
			_, err := c.store.Expire(ctx, uuid7.First(c.now.Add(-3*day)), math.MaxInt)
			return err
		},
		"seal":    c.sealer.Seal,
		"compact": func(ctx context.Context) error { return c.store.Compact(ctx, c.now) },
		"purge": func(ctx context.Context) error {
			_, _, err := c.sealer.Purge(ctx, "globex", uuid.Max, time.Now().Add(time.Minute))
			return err
		},
		"list": func(ctx context.Context) error {
			_, err := c.search.List(ctx, logsvc.Query{WorkspaceID: "acme", Range: logsvc.Range{To: uuid.Max}, Limit: 100})
			return err
		},
	}
}

func (c *chaos) record(ctx context.Context) error {
	batch := rows("acme", c.now.Add(-time.Duration(rand.N(3))*day), 10)
	if err := c.store.Record(ctx, append(batch, rows("globex", c.now, 10)...)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range batch {
		c.recorded[e.ID] = true
	}
	return nil
}

func (c *chaos) recordOld(ctx context.Context) error {
	at := c.now.Add(-time.Duration(4+rand.N(3)) * day)
	return c.store.Record(ctx, append(rows("initech", at, 10), rows("initech", c.now, 10)...))
}

// repeat repeats an operation. It goes on after what its caller would repeat: a conflict, or a day that was busy for too long.
func repeat(ctx context.Context, name string, times int, do func(context.Context) error) error {
	for done := 0; done < times; {
		err := do(ctx)
		switch {
		case err == nil:
			done++
		case ctx.Err() != nil:
			return fmt.Errorf("%s: done %d of %d times, then %w", name, done, times, err)
		case !errors.Is(err, logsvc.ErrConflict) && fault.KindOf(err) != fault.Unavailable && !lockTimeout(err):
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func lockTimeout(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "55P03"
}

// TestRetentionSealingPurgesAndIngestDoNotBlockEachOther has two connections in each pool: whoever waited for a second connection
// of one pool, or for locks in another order than the others, would never end.
func TestRetentionSealingPurgesAndIngestDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	url, now := pgtest.Database(t, migrate)+"&pool_max_conns=2", time.Now().UTC()
	replicas := []*chaos{newChaos(open(t, url), now), newChaos(open(t, url), now)}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, replica := range replicas {
		for name, do := range replica.operations() {
			group.Go(func() error { return repeat(ctx, name, 100, do) })
		}
	}
	must(t, group.Wait())
	found := map[uuid.UUID]int{}
	query := logsvc.Query{WorkspaceID: "acme", Range: logsvc.Range{To: uuid.Max}, Limit: 100_000}
	page, err := replicas[0].search.List(t.Context(), query)
	must(t, err)
	for _, e := range page.Entries {
		found[e.ID]++
	}
	for _, replica := range replicas {
		for id := range replica.recorded {
			if found[id] != 1 {
				t.Fatalf("a row is there %d times", found[id])
			}
		}
	}
}

// TestExpiryIsNotBlockedByThoseThatWaitForIt has a drop that waits for every older snapshot, and another replica that has waited
// for the lock of the layout since before.
func TestExpiryIsNotBlockedByThoseThatWaitForIt(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	expiring, waiting, conn := open(t, url), open(t, url), connect(t, url)
	old, missing := time.Now().Add(-10*day), time.Now().Add(-5*day)
	must(t, expiring.CreateDay(t.Context(), old))
	_, err := conn.Exec(t.Context(), "COMMENT ON TABLE "+partitions(old)[0]+" IS '"+postgres.Dropping+"'")
	must(t, err)
	interrupt := interruptions["not detached completely"]
	interrupt(t, connect(t, url), "ALTER TABLE keytrail_logs.request_logs DETACH PARTITION "+partitions(old)[0])
	value[string](t, conn, "SELECT pg_advisory_lock($1)::text", postgres.LayoutLock)

	expired, recorded := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := expiring.Expire(t.Context(), uuid7.First(time.Now().Add(-8*day)), math.MaxInt)
		expired <- err
	}()
	awaitLayoutWaiters(t, conn, 1)
	go func() { recorded <- waiting.Record(t.Context(), rows("acme", missing, 1)) }()
	awaitLayoutWaiters(t, conn, 2)
	value[bool](t, conn, "SELECT pg_advisory_unlock($1)", postgres.LayoutLock)
	must(t, <-expired)
	must(t, <-recorded)
	if value[bool](t, conn, "SELECT to_regclass($1) IS NOT NULL", partitions(old)[0]) {
		t.Error("the old day is still there")
	}
	if found := all(t, waiting, "acme"); len(found) != 1 {
		t.Errorf("%d rows are there, want 1", len(found))
	}
}

// awaitLayoutWaiters waits until so many other sessions have tried to lock the layout.
func awaitLayoutWaiters(t *testing.T, conn *pgx.Conn, want int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		if value[int](t, conn, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%advisory_lock($1)'`) >= want {
			return
		}
	}
	t.Fatal("too few sessions wait for the lock of the layout")
}
