package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/logsvc"
)

// noteInserts makes the database note how many rows each statement inserts, and whether it is a COPY.
const noteInserts = `
	CREATE TABLE inserts (rows bigint, copied boolean);
	CREATE FUNCTION note_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.inserts SELECT count(*), current_query() LIKE '%COPY request_logs%' FROM inserted;
		RETURN NULL;
	END $$;
	CREATE TRIGGER note_insert AFTER INSERT ON keytrail_logs.request_logs REFERENCING NEW TABLE AS inserted
		FOR EACH STATEMENT EXECUTE FUNCTION note_insert()`

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

// TestOnlyCallsWithoutARowAreCopied records calls of which the last one may have a row.
func TestOnlyCallsWithoutARowAreCopied(t *testing.T) {
	t.Parallel()
	for name, change := range mayHaveARow {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t, migrate)
			store, conn, batch := open(t, url), connect(t, url), rows("acme", time.Now(), 100)
			_, err := conn.Exec(t.Context(), noteInserts)
			must(t, err)
			change(&batch[99])
			must(t, store.Record(t.Context(), batch))
			if got := value[string](t, conn, `SELECT string_agg(inserts::text, ' ') FROM inserts`); got != "(99,t) (1,f)" {
				t.Errorf("inserted %s, want 99 copied rows, and 1 that is merged", got)
			}
		})
	}
}

// mayHaveARow are changes of an entry after which its call may have a row already.
var mayHaveARow = map[string]func(*logsvc.Entry){
	"report":                       func(e *logsvc.Entry) { e.FromReport = true },
	"row that several calls share": func(e *logsvc.Entry) { e.CallCount = 7 },
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
	// Its copy has failed, so nothing is copied for a minute.
	_, err := conn.Exec(t.Context(), noteInserts)
	must(t, err)
	must(t, store.Record(t.Context(), rows("globex", time.Now(), 1)))
	if got := value[string](t, conn, `SELECT string_agg(inserts::text, ' ') FROM inserts`); got != "(1,f)" {
		t.Errorf("inserted %s after a copy that failed, want 1 row that is merged", got)
	}
}

// TestNothingOfABatchIsStoredBeforeItsLastEntry has a batch wait for a row that another session holds, after its other entries
// were copied. After the lock timeout of COPY it waits again, with the upsert of the whole batch.
func TestNothingOfABatchIsStoredBeforeItsLastEntry(t *testing.T) {
	t.Parallel()
	for name, change := range mayHaveARow {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t, migrate)
			store, conn, batch := open(t, url), connect(t, url), rows("acme", time.Now(), 100)
			change(&batch[99])
			tx, recorded := insert(t, connect(t, url), batch[99]), make(chan error, 1)
			go func() { recorded <- store.Record(t.Context(), batch) }()
			awaitWaiter(t, conn)
			expectRows(t, store, nil)
			must(t, tx.Rollback(t.Context()))
			must(t, <-recorded)
			expectRows(t, store, batch)
		})
	}
}
