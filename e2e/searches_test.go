package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// TestFloodOfSearchesStopsNeitherReadinessNorOtherWorkspaces starts 300 searches of one workspace that wait for a lock, which
// other searches do not need.
func TestFloodOfSearchesStopsNeitherReadinessNorOtherWorkspaces(t *testing.T) {
	t.Parallel()
	const searches, waiting = 300, 50
	running := max(1, min(2, runtime.GOMAXPROCS(0)/2)) // half of the processors are left to other workspaces
	url, now := pgtest.Database(t, nil), time.Now()
	signer, keyFile := newSigner(t)
	server := logService(t, url, anyPort, keyFile)
	logs := logsv1.NewLogServiceClient(dial(t, server.LogsAddr(), credentialsFrom(t, signer)))
	expectReady(t, server, http.StatusOK, `"request_logs":"ok"`)
	unlock := lockDay(t, url, now.AddDate(0, 0, -1))

	var flood sync.WaitGroup
	results := make(chan error, searches)
	for range searches {
		flood.Go(func() {
			_, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{
				WorkspaceId: "flood", StartTime: timestamppb.New(now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)),
				EndTime: timestamppb.New(now.UTC().Truncate(24 * time.Hour)),
			})
			results <- err
		})
	}
	awaitLockWaiters(t, url, running)
	for range 20 {
		if code, text := probe(t, server, "/readyz"); code != http.StatusOK {
			t.Fatalf("/readyz is %d %s during the flood", code, text)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	_, err := logs.ListRequestLogs(ctx, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", StartTime: timestamppb.New(now)})
	if err != nil {
		t.Fatalf("a search of another workspace: %v", err)
	}
	flood.Wait() // the lock is kept until the time limit of a statement ends the searches that run
	close(results)
	ran := 0
	for err := range results {
		if status.Code(err) != codes.DeadlineExceeded {
			expectTooManySearches(t, err)
			continue
		}
		ran++
		if reason, retry := detailsOf(err); reason != "STORE_LATE" || retry > 0 {
			t.Errorf("a search that ran: %v, %s, try again after %v; want STORE_LATE", err, reason, retry)
		}
	}
	if ran < running || ran > running+waiting {
		t.Errorf("%d of %d searches ran, want %d, and at most %d more that had waited", ran, searches, running, waiting)
	}
	unlock()
	if _, err := logs.ListRequestLogs(t.Context(), &logsv1.ListRequestLogsRequest{WorkspaceId: "flood"}); err != nil {
		t.Errorf("a search after the flood: %v", err)
	}
}

// lockDay locks the rows of a day until unlock is called.
func lockDay(t *testing.T, url string, day time.Time) (unlock func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	sql := fmt.Sprintf("BEGIN; LOCK TABLE keytrail_logs.request_logs_%s IN ACCESS EXCLUSIVE MODE", day.UTC().Format("20060102"))
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	}
}

// awaitLockWaiters waits until so many sessions of a database wait for a lock.
func awaitLockWaiters(t *testing.T, url string, want int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	waiting := 0
	await(t, waitTimeout, func() bool {
		err = conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting >= want
	}, func() any { return fmt.Sprintf("%d sessions wait for a lock, want %d; %v", waiting, want, err) })
}

// expectTooManySearches expects RESOURCE_EXHAUSTED with a reason and a time after which to try again.
func expectTooManySearches(t *testing.T, err error) {
	t.Helper()
	reason, retry := detailsOf(err)
	if status.Code(err) != codes.ResourceExhausted || reason != "TOO_MANY_SEARCHES" || retry <= 0 {
		t.Errorf("a search: %v, %s, try again after %v; want RESOURCE_EXHAUSTED, TOO_MANY_SEARCHES", err, reason, retry)
	}
}

// detailsOf returns the reason of an error, and after what time the call may be repeated.
func detailsOf(err error) (reason string, retry time.Duration) {
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
		case *errdetails.RetryInfo:
			retry = detail.GetRetryDelay().AsDuration()
		}
	}
	return reason, retry
}

// flood produces 429 with searches that take long, because they look for an endpoint that none of very many rows has.
func (s *statusTest) flood(dir, gateway string, all map[string]operation) {
	db, err := sql.Open("sqlite", filepath.Join(dir, "logs.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(s.t.Context(), `INSERT INTO request_logs (workspace_id, id, key_id, call_count, status, from_report,
			endpoint, error_code, agent_type, agent_id, method, cause, key_name, key_last4, external_id)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
		SELECT 'crowded', unhex(printf('%012x70008000%012x', ?, i)), zeroblob(16), 1, 200, false, '/v1', '', '', '', '', '', '', '', ''
		FROM n`,
		time.Now().Add(-time.Hour).UnixMilli())
	if err != nil {
		s.t.Fatal(err)
	}
	crowded := func(name string) operation {
		o := all[name]
		o.path = strings.Replace(o.path, "/acme/", "/crowded/", 1)
		return o
	}
	list := crowded("listRequestLogs")
	list.path += "?endpoint=absent"
	ctx, stop := context.WithCancel(s.t.Context())
	var searches sync.WaitGroup
	for range 80 {
		searches.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := s.exchange(gateway, list, nil); err != nil {
					s.t.Error(err)
				}
			}
		})
	}
	for _, o := range []operation{list, crowded("getRequestLog"), crowded("summarizeRequestLogs"), crowded("listLogKeys")} {
		got := 0
		await(s.t, waitTimeout, func() bool {
			got, _, err = s.exchange(gateway, o, nil)
			return err != nil || got == http.StatusTooManyRequests
		}, func() any { return fmt.Sprint(o.path, got) })
		if err != nil {
			s.t.Error(err)
		}
	}
	stop()
	searches.Wait()
}
