package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

const (
	refusedMetric = "keytrail_trail_refused_records_total"
	// minTrailBytes is the minimum of --trail-max-bytes.
	minTrailBytes = 8 << 20
)

// newSmallTrailCluster returns a cluster whose trail has room for 1 MiB. A dead-letter file takes the rest of the
// limit.
func newSmallTrailCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	s := newCluster(t, append(flags, "--trail-max-bytes", strconv.Itoa(minTrailBytes))...)
	if err := os.MkdirAll(s.trailDir, 0o700); err != nil {
		t.Fatal(err)
	}
	letters := bytes.Repeat([]byte{'\n'}, minTrailBytes-1<<20)
	if err := os.WriteFile(filepath.Join(s.trailDir, "dead-letters.ndjson"), letters, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// fillingLoad returns a load that fills a trail of 1 MiB within seconds.
func (s *cluster) fillingLoad(seed uint64) *load {
	s.t.Helper()
	return &load{checks: s.checks, kinds: s.kinds(), clients: 4, every: 4 * time.Millisecond, seed: seed, suffix: strings.Repeat("x", 1500)}
}

// fill stops the log service and waits until the trail has refused this many records.
func (s *cluster) fill(l *load, refused int) {
	s.t.Helper()
	if err := s.logs.down(); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, 2*waitTimeout, func() bool { return s.auth.count(refusedMetric) >= refused }, func() any {
		return fmt.Sprint(s.auth.count(refusedMetric), " refused of ", l.sent.Load())
	})
}

// restartLogService starts the log service and waits until the trail accepts rows again.
func (s *cluster) restartLogService(l *load) {
	s.t.Helper()
	if err := s.logs.up(); err != nil {
		s.t.Fatal(err)
	}
	s.logs.awaitReady()
	// The load goes on. The trail has recovered after a hundred checks without a refused record.
	refused, answered := -1, int64(0)
	await(s.t, 3*waitTimeout, func() bool {
		if now := s.auth.count(refusedMetric); now != refused {
			refused, answered = now, l.answered.Load()
		}
		return l.answered.Load() >= answered+100
	}, func() any { return fmt.Sprint(refused, " refused, still rising") })
}

// fillAndDrain fills and drains the trail under load, several times. /readyz must return readiness on a full trail.
func (s *cluster) fillAndDrain(times, readiness int) (calls history, v comparison, refused int) {
	s.t.Helper()
	seed, began := newSeed(s.t), time.Now()
	s.start()
	l := s.fillingLoad(seed)
	_, stop := l.start(s.t)
	for range times {
		s.fill(l, s.auth.count(refusedMetric)+200)
		s.expectReadiness(readiness)
		s.restartLogService(l)
	}
	calls, err := stop()
	if err != nil {
		s.t.Fatalf("-seed %d: %v", seed, err)
	}
	v, refused = s.settle(calls), s.auth.count(refusedMetric)
	s.t.Logf("%d answered, %d rows, %d refused", sum(v.answered), sum(v.rows), refused)
	v.expectCorrect(s.t, seed)
	s.expectLogged(began)
	return calls, v, refused
}

// expectReadiness expects /readyz of an auth service with a full trail to return want. It is not ready only if it
// refuses checks; otherwise a load balancer would remove replicas that can still serve.
func (s *cluster) expectReadiness(want int) {
	s.t.Helper()
	if code, text, err := getOps(s.auth.ops, "/readyz"); err != nil || code != want {
		s.t.Errorf("/readyz on a full trail: %d %s %v, want %d", code, text, err, want)
	}
}

// expectAllowedOnFullTrail expects a response to every check, and that the metric counts each one without a row.
func (s *cluster) expectAllowedOnFullTrail() {
	s.t.Helper()
	calls, v, refused := s.fillAndDrain(2, http.StatusOK)
	if answered := len(calls.answered()); answered != len(calls) {
		s.t.Errorf("%d of %d checks were not answered", len(calls)-answered, len(calls))
	}
	if len(v.lost) != refused {
		s.t.Errorf("%d checks with a response have no row, %d records were counted as refused", len(v.lost), refused)
	}
}

// expectRefusedOnFullTrail expects every check to have either a response and a row, or an error and no row.
func (s *cluster) expectRefusedOnFullTrail() {
	s.t.Helper()
	calls, v, refused := s.fillAndDrain(1, http.StatusServiceUnavailable)
	if n := len(calls) - len(calls.answered()); n != refused {
		s.t.Errorf("%d checks were refused, %d records were counted as refused", n, refused)
	}
	if len(v.lost) > 0 || sum(v.unknown) > 0 {
		s.t.Errorf("%d checks with a response have no row, %d refused checks have one", len(v.lost), sum(v.unknown))
	}
	s.auth.awaitReady()
}

// expectLogged expects log lines about refused records since then, at most one a minute.
func (s *cluster) expectLogged(since time.Time) {
	s.t.Helper()
	exported, most := strings.Count(s.auth.printed.String(), "request logs not appended to the trail"), 1+int(time.Since(since)/time.Minute)
	if exported < 1 || exported > most {
		s.t.Errorf("%d log lines about refused records, want 1 to %d:\n%s", exported, most, &s.auth.printed)
	}
}

func TestAFullTrailAllowsChecksAndCountsThem(t *testing.T) {
	t.Parallel()
	newSmallTrailCluster(t).expectAllowedOnFullTrail()
}

func TestAFullTrailRefusesReports(t *testing.T) {
	t.Parallel()
	s := newSmallTrailCluster(t)
	s.start()
	l := s.fillingLoad(newSeed(t))
	_, stop := l.start(t)
	s.fill(l, 20)
	calls, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	// A single report may fit into space that was too small for the last check.
	request := &authv1.ReportRequest{}
	for _, c := range calls {
		if c.kind.code == "" && len(request.Outcomes) < 10 {
			c.outcome = c.checked.outcome(201, 1)
			request.Outcomes = append(request.Outcomes, c.outcome)
		}
	}
	if _, err := s.checks.Report(t.Context(), request); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "full") {
		t.Errorf("reports to a full trail: %v, want UNAVAILABLE", err)
	}
	s.expectReadiness(http.StatusOK)
}
