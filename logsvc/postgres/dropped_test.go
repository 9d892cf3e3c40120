package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// keyTableLock lets batches with new keys pass one at a time. They wait for the table of key snapshots, which is after their
// partitions were created and before their rows are stored.
type keyTableLock struct {
	*testing.T
	url   string
	admin *pgx.Conn
	tx    pgx.Tx // holds the lock
}

func newKeyTableLock(t *testing.T, url string) *keyTableLock {
	s := &keyTableLock{T: t, url: url}
	s.admin = connect(t, url)
	s.tx = <-s.acquire()
	return s
}

// acquire queues for the lock, and sends a transaction once it holds it.
func (s *keyTableLock) acquire() <-chan pgx.Tx {
	conn, acquired := connect(s.T, s.url), make(chan pgx.Tx, 1)
	go func() {
		tx, err := conn.Begin(s.Context())
		if err == nil {
			_, err = tx.Exec(s.Context(), "LOCK TABLE keytrail_logs.request_log_keys IN EXCLUSIVE MODE")
		}
		if err != nil {
			s.Error(err)
		}
		acquired <- tx
	}()
	return acquired
}

// awaitWaiters waits until so many sessions wait for the lock.
func (s *keyTableLock) awaitWaiters(want int) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		var waiting int
		err := s.admin.QueryRow(s.Context(), `SELECT count(*) FROM pg_locks
			WHERE relation = 'keytrail_logs.request_log_keys'::regclass AND NOT granted`).Scan(&waiting)
		if err != nil {
			s.Fatal(err)
		}
		if waiting == want {
			return
		}
	}
	s.Fatalf("%d sessions never waited for the lock", want)
}

// passOne lets one batch pass, until it stores key snapshots again.
func (s *keyTableLock) passOne() {
	s.Helper()
	next := s.acquire()
	s.awaitWaiters(2)
	s.release()
	s.tx = <-next
	s.awaitWaiters(1)
}

func (s *keyTableLock) release() {
	s.Helper()
	must(s.T, s.tx.Rollback(s.Context()))
}

func (s *keyTableLock) exists(table string) (exists bool) {
	s.Helper()
	must(s.T, s.admin.QueryRow(s.Context(), "SELECT to_regclass($1) IS NOT NULL", table).Scan(&exists))
	return exists
}

// TestDayDroppedTwiceWhileABatchIsStored drops the day of a batch before its first attempt and during its second.
func TestDayDroppedTwiceWhileABatchIsStored(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	store, other := open(t, url+"&pool_max_conns=1", time.Now), open(t, url, time.Now)
	at := time.Now().Add(-5 * day)
	expire := func(ctx context.Context) error { return other.Expire(ctx, uuid7.First(time.Now().Add(-3*day))) }
	must(t, store.Record(t.Context(), rows("acme", at, 3)))
	must(t, expire(t.Context()))
	batch := rows("acme", at, 3)
	for i := range batch {
		batch[i].KeyName = "new"
	}
	s, recorded := newKeyTableLock(t, url), make(chan error, 1)
	go func() { recorded <- store.Record(t.Context(), batch) }()
	s.awaitWaiters(1)
	for table := "keytrail_logs.request_logs_" + at.UTC().Format("20060102"); !s.exists(table); {
		s.passOne()
	}
	// The second attempt holds the layout lock: without it the drop would succeed at once.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := expire(ctx); err == nil {
		t.Error("the day was dropped")
	}
	s.release()
	must(t, <-recorded)
	if diff := cmp.Diff(newestFirst(batch), all(t, store, "acme", logsvc.Filter{})); diff != "" {
		t.Errorf("stored (-sent +found):\n%s", diff)
	}
}
