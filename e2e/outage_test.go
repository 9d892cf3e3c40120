package e2e

import (
	"flag"
	"testing"
	"time"
)

var outage = flag.Duration("outage", 6*time.Second, "how long the log service is away in the test of that")

// leastSlow is what checks may take in any case: beside other tests they wait for a processor, before as while the log
// service is away. What would wait for the log service waits longer. bench measures the rest.
const leastSlow = 200 * time.Millisecond

// outages is how often the log service goes away before checks are said to be slow without it: what other tests do to
// them meanwhile is not the same each time.
const outages = 3

func TestChecksGoOnWhileTheLogServiceIsAway(t *testing.T) {
	t.Parallel()
	s, seed := splitStand(t), newSeed(t)
	s.start()
	l := &load{checks: s.checks, kinds: append(s.kinds(), strangers()...), clients: 6, every: 15 * time.Millisecond, seed: seed, reports: true}
	var calls ledger
	for n := 1; ; n++ {
		made, before, away := s.goWithoutLogs(l)
		calls = append(calls, made...)
		slow := away > max(2*before, leastSlow)
		if slow && n == outages {
			t.Errorf("-seed %d: p99 of checks is %v while the log service is away, and %v before", seed, away, before)
		}
		if !slow || n == outages {
			break
		}
	}
	if answered := len(calls.answered()); answered != len(calls) {
		t.Errorf("-seed %d: %d of %d checks were not answered", seed, len(calls)-answered, len(calls))
	}
	s.settle(calls).expectWhole(t, seed)
	s.expectCleanTrail()
}

// goWithoutLogs runs a load while the log service goes away and comes back. It answers the p99 of checks before it was
// away and while it was.
func (s *stand) goWithoutLogs(l *load) (calls ledger, before, away time.Duration) {
	s.t.Helper()
	working, stop := l.start(s.t)
	began := time.Now()
	pause(working, *outage/2)
	gone := time.Now()
	if err := s.logs.down(); err != nil {
		s.t.Fatal(err)
	}
	pause(working, *outage)
	waiting := s.auth.count("keytrail_trail_waiting_bytes")
	back := time.Now()
	if err := s.logs.up(); err != nil {
		s.t.Fatal(err)
	}
	s.logs.awaitReady()
	calls, err := stop()
	if err != nil {
		s.t.Fatalf("-seed %d: %v", l.seed, err)
	}
	if waiting == 0 {
		s.t.Errorf("-seed %d: nothing waited for the log service", l.seed)
	}
	before, away = calls.p99(began, gone), calls.p99(gone, back)
	s.t.Logf("p99 of checks: %v before, %v while the log service was away; %d bytes waited for it, for %v after it was back",
		before, away, waiting, time.Since(back).Round(time.Millisecond))
	return calls, before, away
}
