package e2e

import (
	"bytes"
	"fmt"
	"io"
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
	// leastTrail is the least that a trail can be limited to, in bytes.
	leastTrail = 8 << 20
)

// limitedStand is a split stand, with these flags more, whose trail has room for 1 MiB: dead letters take the rest.
func limitedStand(t *testing.T, flags ...string) *stand {
	t.Helper()
	s := splitStand(t, append(flags, "--trail-max-bytes", strconv.Itoa(leastTrail))...)
	if err := os.MkdirAll(s.trailDir, 0o700); err != nil {
		t.Fatal(err)
	}
	letters := bytes.Repeat([]byte{'\n'}, leastTrail-1<<20)
	if err := os.WriteFile(filepath.Join(s.trailDir, "dead-letters.ndjson"), letters, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// fillingLoad is a load that soon fills a trail of some MiB.
func (s *stand) fillingLoad(seed uint64) *load {
	s.t.Helper()
	return &load{checks: s.checks, kinds: s.kinds(), clients: 4, every: 4 * time.Millisecond, seed: seed, suffix: strings.Repeat("x", 1500)}
}

// fill takes the log service away and checks until the trail has refused this many records.
func (s *stand) fill(l *load, refused int) {
	s.t.Helper()
	if err := s.logs.down(); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, 2*patience, func() bool { return s.auth.count(refusedMetric) >= refused }, func() any {
		return fmt.Sprint(s.auth.count(refusedMetric), " refused of ", l.sent.Load())
	})
}

// comeBack brings the log service back and waits until the trail is empty and takes rows again.
func (s *stand) comeBack(l *load) {
	s.t.Helper()
	if err := s.logs.up(); err != nil {
		s.t.Fatal(err)
	}
	s.logs.awaitReady()
	// Rows are taken again while the load goes on: a hundred checks in a row, and none is refused.
	refused, answered := -1, int64(0)
	await(s.t, 3*patience, func() bool {
		if now := s.auth.count(refusedMetric); now != refused {
			refused, answered = now, l.answered.Load()
		}
		return l.answered.Load() >= answered+100
	}, func() any { return fmt.Sprint(refused, " refused, and ever more") })
}

// fillAndEmpty fills the trail under load, and lets it become empty, several times; full, /readyz
// answers readiness. It answers what came of it.
func (s *stand) fillAndEmpty(times, readiness int) (calls ledger, v verdict, refused int) {
	s.t.Helper()
	seed, began := newSeed(s.t), time.Now()
	s.start()
	l := s.fillingLoad(seed)
	_, stop := l.start(s.t)
	for range times {
		s.fill(l, s.auth.count(refusedMetric)+200)
		s.expectReadiness(readiness)
		s.comeBack(l)
	}
	calls, err := stop()
	if err != nil {
		s.t.Fatalf("-seed %d: %v", seed, err)
	}
	v, refused = s.settle(calls), s.auth.count(refusedMetric)
	s.t.Logf("%d answered, %d rows, %d refused", sum(v.answered), sum(v.rows), refused)
	v.expectRight(s.t, seed)
	s.expectTold(began)
	return calls, v, refused
}

// expectReadiness expects /readyz of the auth service, whose trail is full, to answer want: it is not ready only where
// it refuses checks, as the trails of its neighbours are as full.
func (s *stand) expectReadiness(want int) {
	s.t.Helper()
	resp, err := http.Get("http://" + s.auth.ops + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		s.t.Errorf("/readyz on a full trail: %d %s %v, want %d", resp.StatusCode, text, err, want)
	}
}

// letsPass expects every check to be answered, and every one without a row to be counted as refused.
func (s *stand) letsPass() {
	s.t.Helper()
	calls, v, refused := s.fillAndEmpty(2, http.StatusOK)
	if answered := len(calls.answered()); answered != len(calls) {
		s.t.Errorf("%d of %d checks were not answered", len(calls)-answered, len(calls))
	}
	if len(v.lost) != refused {
		s.t.Errorf("%d answered checks have no row, %d records were counted as refused", len(v.lost), refused)
	}
}

// refuses expects every check either to be answered and to have its row, or to be refused and to have none.
func (s *stand) refuses() {
	s.t.Helper()
	calls, v, refused := s.fillAndEmpty(1, http.StatusServiceUnavailable)
	if n := len(calls) - len(calls.answered()); n != refused {
		s.t.Errorf("%d checks were refused, %d records were counted as refused", n, refused)
	}
	if len(v.lost) > 0 || sum(v.unknown) > 0 {
		s.t.Errorf("%d answered checks have no row, %d refused ones have one", len(v.lost), sum(v.unknown))
	}
	s.auth.awaitReady()
}

// expectTold expects the log to tell of what was refused since then, but no more than once a minute.
func (s *stand) expectTold(since time.Time) {
	s.t.Helper()
	told, most := strings.Count(s.auth.printed.String(), "request logs not appended to the trail"), 1+int(time.Since(since)/time.Minute)
	if told < 1 || told > most {
		s.t.Errorf("the log tells %d times of what was refused, want 1 to %d:\n%s", told, most, &s.auth.printed)
	}
}

func TestAFullTrailLetsChecksPassAndCountsThem(t *testing.T) {
	t.Parallel()
	limitedStand(t).letsPass()
}

func TestAFullTrailTakesNoReports(t *testing.T) {
	t.Parallel()
	s := limitedStand(t)
	s.start()
	l := s.fillingLoad(newSeed(t))
	_, stop := l.start(t)
	s.fill(l, 20)
	calls, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	// A single report may fit into the space that was too small for the last check.
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
