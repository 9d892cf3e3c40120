package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// insertRows inserts rows of acme; the arguments are the time of the first, in Unix milliseconds, and how many.
const insertRows = `
	INSERT INTO keytrail_logs.request_logs (workspace_id, id, key_id, call_count, status, from_report,
		endpoint, error_code, agent_type, agent_id, method, cause, key_name, key_last4, external_id)
	SELECT 'acme', (lpad(to_hex(%d + i), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid,
		'00000000-0000-0000-0000-000000000000', 1, 200, false, '/v1', '', 'agent', '', 'GET', '', '', '', ''
	FROM generate_series(1, %d) i`

// slowDeletes makes each chunk of a purge take 4 seconds.
const slowDeletes = `
	CREATE FUNCTION keytrail_logs.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(4); RETURN NULL; END';
	CREATE TRIGGER slow BEFORE DELETE ON keytrail_logs.request_logs FOR EACH STATEMENT EXECUTE FUNCTION keytrail_logs.slow()`

// TestLongPurgeOverRESTIsContinued purges more than one call can, while rows arrive. No response is lost.
func TestLongPurgeOverRESTIsContinued(t *testing.T) {
	t.Parallel()
	const rows = 80_000 // 8 chunks
	url := pgtest.Database(t, nil)
	s, _ := replica(t, url, replicaOptions{})
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UnixMilli()
	exec(fmt.Sprintf(insertRows, now-2*rows, rows))
	exec(slowDeletes)
	purge := func(body object) object {
		t.Helper()
		status, response := s.rest("POST", "/v1/workspaces/acme/request-logs:purge", body)
		if status != http.StatusOK {
			t.Fatalf("a purge: %d %v", status, response)
		}
		return response
	}
	first := purge(object{})
	if first["complete"] != false || first["endTime"] == nil {
		t.Errorf("the first response is %v, want one that is not complete, and its end", first)
	}
	exec("DROP TRIGGER slow ON keytrail_logs.request_logs")
	exec(fmt.Sprintf(insertRows, now, 3))
	next := purge(object{"endTime": first["endTime"]})
	if next["complete"] != true || next["endTime"] != first["endTime"] {
		t.Errorf("the next response is %v, want one that is complete", next)
	}
	var purged, more int
	_, err = fmt.Sscan(fmt.Sprint(first["purgedCount"], " ", next["purgedCount"]), &purged, &more)
	if err != nil || purged+more != rows {
		t.Errorf("purged %d and %d, %v; want %d", purged, more, err, rows)
	}
	if left := s.ok("GET", "/v1/workspaces/acme/request-logs", nil)["requestLogs"].([]any); len(left) != 3 {
		t.Errorf("%d rows are left, want the 3 that have arrived", len(left))
	}
}
