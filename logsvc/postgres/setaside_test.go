package postgres_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// documentedDetach returns the statements of docs/operations.md that set aside the day of a time.
func documentedDetach(t *testing.T, at time.Time) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	_, section, _ := strings.Cut(string(text), "## Days that are set aside")
	_, block, _ := strings.Cut(section, "```sql\n")
	block, _, _ = strings.Cut(block, "```")
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(block, "20261101", at.UTC().Format("20060102"))), "\n")
}

// TestDocumentedDetachHoldsUpNothing has a transaction that reads the tables, for which the detach waits.
func TestDocumentedDetachHoldsUpNothing(t *testing.T) {
	t.Parallel()
	url, at := pgtest.Database(t, migrate), time.Now().Add(-5*day)
	store, conn := open(t, url), connect(t, url)
	must(t, store.CreateDay(t.Context(), at))
	tx, operator, detached := hold(t, url, "keytrail_logs.request_logs"), connect(t, url), make(chan error, 1)
	go func() {
		var err error
		for _, statement := range documentedDetach(t, at) {
			if err == nil {
				_, err = operator.Exec(t.Context(), statement)
			}
		}
		detached <- err
	}()
	awaitWaiter(t, conn)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	sent := rows("acme", time.Now(), 3)
	if err := store.Record(ctx, sent); err != nil {
		t.Errorf("Record waits for the detach: %v", err)
	}
	must(t, tx.Rollback(t.Context()))
	must(t, <-detached)
	if diff := cmp.Diff(newestFirst(sent), all(t, store, "acme")); diff != "" {
		t.Errorf("stored (-sent +found):\n%s", diff)
	}
	expire(t, store, 2*day)
	for _, table := range partitions(at) {
		kept := strings.Replace(table, ".", ".kept_", 1)
		if !value[bool](t, conn, "SELECT to_regclass($1) IS NOT NULL", kept) {
			t.Errorf("%s is gone", kept)
		}
	}
}
