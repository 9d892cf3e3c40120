package e2e

import (
	"flag"
	"testing"
	"time"
)

var outage = flag.Duration("outage", 6*time.Second, "duration of the outage of the log service in its test")

// minSlow is the latency below which checks are never slow: in parallel with other tests they wait for a CPU. A check
// that waits for the log service takes longer. bench measures the exact ratio.
const minSlow = 200 * time.Millisecond

// outages is the number of attempts before the test fails because of slow checks: the load of other tests varies.
const outages = 3

func TestChecksContinueWithoutTheLogService(t *testing.T) {
	t.Parallel()
	s, seed := newCluster(t), newSeed(t)
	s.start()
	l := &load{checks: s.checks, kinds: append(s.kinds(), unprovedKinds()...), clients: 6, every: 15 * time.Millisecond, seed: seed, reports: true}
	var calls history
	for n := 1; ; n++ {
		made, before, during := s.runOutage(l)
		calls = append(calls, made...)
		slow := during > max(2*before, minSlow)
		if slow && n == outages {
			t.Errorf("-seed %d: p99 of checks is %v during the outage and %v before", seed, during, before)
		}
		if !slow || n == outages {
			break
		}
	}
	if answered := len(calls.answered()); answered != len(calls) {
		t.Errorf("-seed %d: %d of %d checks were not answered", seed, len(calls)-answered, len(calls))
	}
	s.settle(calls).expectComplete(t, seed)
	s.expectCleanTrail()
}

// runOutage runs a load while the log service is stopped and restarted. It returns the p99 of checks before and during
// the outage.
func (s *cluster) runOutage(l *load) (calls history, before, during time.Duration) {
	s.t.Helper()
	working, stop := l.start(s.t)
	began := time.Now()
	pause(working, *outage/2)
	stopped := time.Now()
	if err := s.logs.down(); err != nil {
		s.t.Fatal(err)
	}
	pause(working, *outage)
	waiting := s.auth.count("keytrail_trail_waiting_bytes")
	restarted := time.Now()
	if err := s.logs.up(); err != nil {
		s.t.Fatal(err)
	}
	s.logs.awaitReady()
	calls, err := stop()
	if err != nil {
		s.t.Fatalf("-seed %d: %v", l.seed, err)
	}
	if waiting == 0 {
		s.t.Errorf("-seed %d: no rows waited for the log service", l.seed)
	}
	before, during = calls.p99(began, stopped), calls.p99(stopped, restarted)
	s.t.Logf("p99 of checks: %v before and %v during the outage; backlog of %d bytes, shipped %v after the restart",
		before, during, waiting, time.Since(restarted).Round(time.Millisecond))
	return calls, before, during
}
