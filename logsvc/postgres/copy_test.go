package postgres_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/logsvc"
)

// copying reports whether a session is within a COPY.
const copying = `SELECT EXISTS (SELECT FROM pg_stat_progress_copy WHERE datname = current_database())`

func inProgress(entries []logsvc.Entry) []logsvc.Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].Status, entries[i].Latency, entries[i].Reported = 0, 0, false
	}
	return entries
}

func fromReports(entries []logsvc.Entry) []logsvc.Entry {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].FromReport, entries[i].KeyName, entries[i].Endpoint = true, "cut", "/cut"
	}
	return entries
}

func expectRows(t *testing.T, store logsvc.Store, want []logsvc.Entry) {
	t.Helper()
	if diff := cmp.Diff(newestFirst(want), all(t, store, "acme")); diff != "" {
		t.Errorf("stored (-want +found):\n%s", diff)
	}
}

// TestBatchOfChecksAndLateReports records reports of calls with a row and without one, beside calls that are new.
func TestBatchOfChecksAndLateReports(t *testing.T) {
	t.Parallel()
	store := open(t, pgtest.Database(t, migrate))
	early := rows("acme", time.Now().Add(-time.Hour), 100)
	must(t, store.Record(t.Context(), inProgress(early)))
	unknown, fresh := fromReports(rows("acme", time.Now().Add(-time.Minute), 10)), rows("acme", time.Now(), 100)
	batch := slices.Concat(fresh, fromReports(early), unknown)
	for range 2 { // again: all of them have rows now
		must(t, store.Record(t.Context(), batch))
		expectRows(t, store, slices.Concat(early, unknown, fresh))
	}
}

// TestCopyThatConflictsMergesTheWholeBatch stores a row while the batch that has it is copied, and one before.
func TestCopyThatConflictsMergesTheWholeBatch(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, migrate)
	store, conn := open(t, url), connect(t, url)
	batch := rows("acme", time.Now(), 3000)
	must(t, store.Record(t.Context(), inProgress(batch[2999:])))
	tx, recorded := insert(t, connect(t, url), batch[2500]), make(chan error, 1)
	go func() { recorded <- store.Record(t.Context(), batch) }()
	awaitWaiter(t, conn)
	if !value[bool](t, conn, copying) {
		t.Error("a batch of new rows is not copied")
	}
	must(t, tx.Commit(t.Context()))
	must(t, <-recorded)
	stored := all(t, store, "acme")
	// What the other transaction stored of the call remains, but for its end.
	i := len(batch) - 1 - 2500
	if stored[i].Latency != batch[2500].Latency || stored[i].Endpoint != "" {
		t.Errorf("merged to %+v", stored[i])
	}
	stored[i] = batch[2500]
	if diff := cmp.Diff(newestFirst(batch), stored); diff != "" {
		t.Errorf("stored (-sent +found):\n%s", diff)
	}
}

// TestBatchThatFailsAfterItsCopyStoresNothing cancels a batch whose last entry waits for a row that another session holds.
func TestBatchThatFailsAfterItsCopyStoresNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(last *logsvc.Entry){
		"report":                       func(last *logsvc.Entry) { last.FromReport = true },
		"row that several calls share": func(last *logsvc.Entry) { last.CallCount = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t, migrate)
			store, conn, batch := open(t, url), connect(t, url), rows("acme", time.Now(), 100)
			change(&batch[99])
			tx, recorded := insert(t, connect(t, url), batch[99]), make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { recorded <- store.Record(ctx, batch) }()
			awaitWaiter(t, conn)
			if value[bool](t, conn, copying) {
				t.Error("an entry that has a row is copied")
			}
			cancel()
			if err := <-recorded; !errors.Is(err, context.Canceled) {
				t.Errorf("Record returned %v", err)
			}
			must(t, tx.Rollback(t.Context()))
			expectRows(t, store, nil)
			must(t, store.Record(t.Context(), batch))
			expectRows(t, store, batch)
		})
	}
}
