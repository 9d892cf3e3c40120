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

func TestChecksGoOnWhileTheLogServiceIsAway(t *testing.T) {
	t.Parallel()
	s, seed := splitStand(t), newSeed(t)
	s.start()
	l := &load{checks: s.checks, kinds: append(s.kinds(), strangers()...), clients: 6, every: 15 * time.Millisecond, seed: seed, reports: true}
	working, stop := l.start(t)
	began := time.Now()
	pause(working, *outage/2)
	gone := time.Now()
	if err := s.logs.down(); err != nil {
		t.Fatal(err)
	}
	pause(working, *outage)
	waiting := s.auth.count("keytrail_trail_waiting_bytes")
	back := time.Now()
	if err := s.logs.up(); err != nil {
		t.Fatal(err)
	}
	s.logs.awaitReady()
	calls, err := stop()
	if err != nil {
		t.Fatalf("-seed %d: %v", seed, err)
	}
	if answered := len(calls.answered()); answered != len(calls) {
		t.Errorf("-seed %d: %d of %d checks were not answered", seed, len(calls)-answered, len(calls))
	}
	s.settle(calls).expectWhole(t, seed)
	s.expectCleanTrail()
	before, away := calls.p99(began, gone), calls.p99(gone, back)
	if away > max(2*before, leastSlow) {
		t.Errorf("-seed %d: p99 of checks is %v while the log service is away, and %v before", seed, away, before)
	}
	if waiting == 0 {
		t.Errorf("-seed %d: nothing waited for the log service", seed)
	}
	t.Logf("p99 of checks: %v before, %v while the log service was away; %d bytes waited for it, for %v after it was back",
		before, away, waiting, time.Since(back).Round(time.Millisecond))
}
