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

// turnstile lets batches with new keys through one at a time: they wait where they store the keys, which is after their
// days were made and before their rows are stored.
type turnstile struct {
	*testing.T
	url   string
	admin *pgx.Conn
	held  pgx.Tx
}

func newTurnstile(t *testing.T, url string) *turnstile {
	s := &turnstile{T: t, url: url}
	s.admin = s.connect()
	s.held = <-s.hold()
	return s
}

func (s *turnstile) connect() *pgx.Conn {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.url)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close(context.WithoutCancel(s.Context())) })
	return conn
}

// hold takes its place among those who wait for the keys, and answers once it has them.
func (s *turnstile) hold() <-chan pgx.Tx {
	conn, held := s.connect(), make(chan pgx.Tx, 1)
	go func() {
		tx, err := conn.Begin(s.Context())
		if err == nil {
			_, err = tx.Exec(s.Context(), "LOCK TABLE keytrail_logs.request_log_keys IN EXCLUSIVE MODE")
		}
		if err != nil {
			s.Error(err)
		}
		held <- tx
	}()
	return held
}

// awaitWaiting waits until so many wait for the keys.
func (s *turnstile) awaitWaiting(want int) {
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
	s.Fatalf("never do %d wait for the keys", want)
}

// turn lets one pass, to the next time that it stores keys.
func (s *turnstile) turn() {
	s.Helper()
	next := s.hold()
	s.awaitWaiting(2)
	s.open()
	s.held = <-next
	s.awaitWaiting(1)
}

func (s *turnstile) open() {
	s.Helper()
	if err := s.held.Rollback(s.Context()); err != nil {
		s.Fatal(err)
	}
}

func (s *turnstile) there(table string) (there bool) {
	s.Helper()
	if err := s.admin.QueryRow(s.Context(), "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
		s.Fatal(err)
	}
	return there
}

// TestADayThatIsDroppedTwiceWhileABatchIsStored drops the day of a batch before its first attempt and during its second.
func TestADayThatIsDroppedTwiceWhileABatchIsStored(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	here, there := open(t, url+"&pool_max_conns=1", time.Now), open(t, url, time.Now)
	at := time.Now().Add(-5 * day)
	expire := func(ctx context.Context) error { return there.Expire(ctx, uuid7.First(time.Now().Add(-3*day))) }
	if err := here.Record(t.Context(), rows("acme", at, 3)); err != nil {
		t.Fatal(err)
	}
	if err := expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	batch := rows("acme", at, 3)
	for i := range batch {
		batch[i].KeyName = "new"
	}
	s, recorded := newTurnstile(t, url), make(chan error, 1)
	go func() { recorded <- here.Record(t.Context(), batch) }()
	s.awaitWaiting(1)
	for table := "keytrail_logs.request_logs_" + at.UTC().Format("20060102"); !s.there(table); {
		s.turn()
	}
	// It must not have the day, and would have it at once if it could.
	hurried, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := expire(hurried); err == nil {
		t.Error("the day was dropped")
	}
	s.open()
	if err := <-recorded; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(newestFirst(batch), all(t, here, "acme", logsvc.Filter{})); diff != "" {
		t.Errorf("stored (-sent +found):\n%s", diff)
	}
}
