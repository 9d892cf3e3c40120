package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// readiness returns the result of /readyz of a process.
func readiness(t *testing.T, server *app.Server) (code int, checks map[string]string) {
	t.Helper()
	code, text := probe(t, server, "/readyz")
	if err := json.Unmarshal([]byte(text), &checks); err != nil {
		t.Fatalf("/readyz: %d, not a JSON object of strings: %v", code, err)
	}
	return code, checks
}

// awaitReadiness waits until /readyz of a process returns want, and returns its checks.
func (s *system) awaitReadiness(server *app.Server, want int) (checks map[string]string) {
	s.t.Helper()
	code := 0
	s.await(func() bool {
		code, checks = readiness(s.t, server)
		return code == want
	}, func() any { return fmt.Sprint(code, checks) })
	return checks
}

// keepChecking checks k in a loop. stop ends the loop and returns its first error.
func (s *system) keepChecking(k key) (stop func() error) {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.checkUntil(ctx, k) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// checkUntil checks k until ctx ends. It returns an error if a check times out or is denied.
func (s *system) checkUntil(ctx context.Context, k key) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := s.checkOnce(k); err != nil {
			return err
		}
		<-tick.C
	}
	return nil
}

func (s *system) checkOnce(k key) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), waitTimeout/6)
	defer cancel()
	answer, err := s.checks.Check(ctx, &authv1.CheckRequest{ApiKey: k.secret, AgentType: "agent"})
	if err != nil {
		return err
	}
	if !answer.GetAllowed() {
		return fmt.Errorf("not allowed: %s", answer.GetDenial().GetCode())
	}
	return nil
}

func TestMaxStalenessEndsReadinessAndChecksContinue(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t)
	s, auth := replica(t, postgres.URL("postgres"), replicaOptions{maxStaleness: 2 * time.Second})
	k := s.createKey("acme", "k", nil)
	s.awaitReadiness(auth, http.StatusOK)
	stop := s.keepChecking(k)
	if err := postgres.Down(pgserver.Fast); err != nil {
		t.Fatal(err)
	}
	checks := s.awaitReadiness(auth, http.StatusServiceUnavailable)
	if checks["keyring"] == "" || checks["keyring"] == "ok" || checks["trail"] != "ok" {
		t.Errorf("not ready because of %v, want the keyring alone", checks)
	}
	if err := s.checkOnce(k); err != nil {
		t.Errorf("a check of a replica that is not ready: %v", err)
	}
	if err := postgres.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.awaitReadiness(auth, http.StatusOK)
	if err := stop(); err != nil {
		t.Errorf("a check failed: %v", err)
	}
}

// rejectionDetector is a log writer that fails the test if the log service refused a row.
type rejectionDetector struct{ t *testing.T }

func (r rejectionDetector) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("refused permanently")) {
		r.t.Errorf("logged %s", line)
	}
	return len(line), nil
}

// skewedPair runs two replicas on one Postgres: the clock of one auth service is right, the other's is off by skew.
func skewedPair(t *testing.T, skew time.Duration) (right, skewed *system) {
	t.Helper()
	url, log := pgtest.Database(t, nil), slog.New(slog.NewTextHandler(rejectionDetector{t}, nil))
	right, _ = replica(t, url, replicaOptions{log: log})
	skewed, _ = replica(t, url, replicaOptions{log: log, now: func() time.Time { return time.Now().Add(skew) }})
	return right, skewed
}

// expectTime expects the time of a row to be the time of its id and close to want.
func expectTime(t *testing.T, row object, want time.Time) {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, row["time"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if ofID := uuid7.Time(uuid.MustParse(row["id"].(string))); !at.Equal(ofID) {
		t.Errorf("the row's time is %v, its id's %v", at, ofID)
	}
	if off := at.Sub(want).Abs(); off > time.Minute {
		t.Errorf("the row's time is %v, %v away from the clock of its check", at, off)
	}
}

// expectCompleted checks a call on one replica, reports it on another and expects one complete row.
func expectCompleted(t *testing.T, checked, reported *system, k key, endpoint string, at time.Time) {
	t.Helper()
	answer := checked.check(k, &authv1.CheckRequest{Endpoint: endpoint})
	id := answer.GetRequestLogId()
	expectTime(t, reported.row("acme", id, exists), at)
	report := &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{ReportToken: answer.GetReportToken(), Status: 201, LatencyMs: new(float64(3))}}}
	if _, err := reported.checks.Report(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	row := checked.row("acme", id, finished)
	expectTime(t, row, at)
	if row["status"] != 201.0 || row["keyId"] != k.id {
		t.Errorf("row %v", row)
	}
	if rows := reported.list("acme", "?endpoint="+endpoint); len(rows) != 1 || rows[0]["id"] != id {
		t.Errorf("the list has %v, want only %s", rows, id)
	}
}

// awaitCode waits until a check of k returns this error code; "" is allowed.
func (s *system) awaitCode(k key, want string) {
	s.t.Helper()
	last := ""
	s.await(func() bool {
		last = s.check(k, &authv1.CheckRequest{}).GetDenial().GetCode()
		return last == want
	}, func() any { return last })
}

func TestAReplicaWithAWrongClockWorks(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{"ten minutes ahead": 10 * time.Minute, "a day behind": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right, skewed := skewedPair(t, skew)
			lasting, k := right.createKey("acme", "lasting", nil), right.createKey("acme", "k", nil)
			skewed.awaitCode(k, "")
			expectCompleted(t, skewed, right, k, "/skewed", time.Now().Add(skew))
			expectCompleted(t, right, skewed, k, "/right", time.Now())
			right.ok("PATCH", right.keyPath("acme", k), object{"disabled": true})
			skewed.awaitCode(k, "disabled")
			for _, s := range []*system{right, skewed} {
				if answer := s.check(lasting, &authv1.CheckRequest{}); !answer.GetAllowed() {
					t.Errorf("a key without expiry is denied: %s", answer.GetDenial().GetCode())
				}
			}
		})
	}
}
