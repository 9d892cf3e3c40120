package postgres_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// awaitWaiter waits until a session waits for a lock that another one holds.
func awaitWaiter(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		if value[bool](t, conn, `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND a.datname = current_database())`) {
			return
		}
	}
	t.Fatal("no session ever waited")
}

// insert inserts a row in a transaction, which holds it.
func insert(t *testing.T, conn *pgx.Conn, e logsvc.Entry) pgx.Tx {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `INSERT INTO keytrail_logs.request_logs (workspace_id, id, key_id, call_count, status, from_report,
		endpoint, error_code, agent_type, agent_id, method, cause, key_name, key_last4, external_id)
		VALUES ($1, $2, $2, 1, 200, false, '', '', '', '', '', '', '', '', '')`, e.WorkspaceID, e.ID.String())
	must(t, err)
	return tx
}

// TestDayDroppedTwiceWhileABatchIsStored drops the day of a batch before its first attempt, and tries to during its second.
func TestDayDroppedTwiceWhileABatchIsStored(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	store, other := open(t, url+"&pool_max_conns=1"), open(t, url)
	at := time.Now().Add(-5 * day)
	expire := func(ctx context.Context) error {
		_, err := other.Expire(ctx, uuid7.First(time.Now().Add(-3*day)), math.MaxInt)
		return err
	}
	must(t, store.Record(t.Context(), rows("acme", at, 3)))
	must(t, expire(t.Context()))
	// The last row of the batch waits for this transaction, once the rows of the dropped day are stored.
	last := rows("globex", time.Now(), 1)
	tx := insert(t, connect(t, url), last[0])
	batch, recorded := rows("acme", at, 3), make(chan error, 1)
	go func() { recorded <- store.Record(t.Context(), append(batch, last...)) }()
	awaitWaiter(t, connect(t, url))
	// The second attempt holds the layout lock: without it the drop would wait for the batch, and then lose its rows.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := expire(ctx); err == nil {
		t.Error("the day was dropped")
	}
	must(t, tx.Rollback(t.Context()))
	must(t, <-recorded)
	if diff := cmp.Diff(newestFirst(batch), all(t, store, "acme")); diff != "" {
		t.Errorf("stored (-sent +found):\n%s", diff)
	}
}
