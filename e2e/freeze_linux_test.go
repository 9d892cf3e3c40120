package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/testing/disktest"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

var freeze = flag.Duration("freeze", 3*time.Second, "how long the disk of the trail does not respond in the tests of it")

const uncertainMetric = "keytrail_trail_uncertain_records_total"

// newFreezableCluster returns a cluster whose trail is on a disk of its own that can be frozen.
func newFreezableCluster(t *testing.T, flags ...string) (*cluster, *disktest.Disk) {
	t.Helper()
	disk := disktest.Freezable(t, 256<<20)
	s := newCluster(t, append(flags, "--trail-stall-timeout=250ms")...)
	trail := filepath.Join(disk.Dir, "trail")
	if err := os.Mkdir(trail, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(trail, s.trailDir); err != nil {
		t.Fatal(err)
	}
	return s, disk
}

// whileFrozen freezes the disk under load, expects the replica to say so and meanwhile to hold, and thaws it after -freeze.
func (s *cluster) whileFrozen(disk *disktest.Disk, l *load, meanwhile func()) {
	s.t.Helper()
	await(s.t, waitTimeout, func() bool { return l.answered.Load() > 100 }, func() any { return "no checks" })
	began := time.Now()
	if err := disk.Freeze(); err != nil {
		s.t.Fatal(err)
	}
	code, text := 0, ""
	await(s.t, waitTimeout, func() bool {
		code, text, _ = getOps(s.auth.ops, "/readyz")
		return code == http.StatusServiceUnavailable
	}, func() any { return fmt.Sprint("/readyz on a frozen disk: ", code, text) })
	if want := "the trail of request logs cannot be written: the disk has not responded for "; !strings.Contains(text, want) {
		s.t.Errorf("/readyz says %s, want %q", text, want)
	}
	awaitHealth(s.t, s.authAddr, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	if seconds, ok := metric(s.auth.ops, "keytrail_trail_stalled_seconds"); !ok || seconds <= 0 {
		s.t.Errorf("keytrail_trail_stalled_seconds is %v", seconds)
	}
	meanwhile()
	pause(s.t.Context(), time.Until(began.Add(*freeze)))
	s.t.Logf("frozen for %v", time.Since(began))
	if err := disk.Thaw(); err != nil {
		s.t.Fatal(err)
	}
}

// goesOn expects the replica to be ready again, and a hundred checks without a record that is refused or uncertain.
func (s *cluster) goesOn(l *load) {
	s.t.Helper()
	s.auth.awaitReady()
	awaitHealth(s.t, s.authAddr, grpc_health_v1.HealthCheckResponse_SERVING)
	failed, answered := -1, int64(0)
	await(s.t, waitTimeout, func() bool {
		if now := s.auth.count(refusedMetric) + s.auth.count(uncertainMetric); now != failed {
			failed, answered = now, l.answered.Load()
		}
		return l.answered.Load() >= answered+100
	}, func() any { return fmt.Sprint(failed, " records failed, still rising") })
}

func TestAFrozenDiskAllowsChecksAndCountsThem(t *testing.T) {
	t.Parallel()
	s, disk := newFreezableCluster(t)
	seed := newSeed(t)
	s.start()
	l := &load{checks: s.checks, kinds: s.kinds(), clients: 8, every: 4 * time.Millisecond, seed: seed}
	_, stop := l.start(t)
	reported := s.createKey("reported")
	request := &authv1.CheckRequest{ApiKey: reported.GetSecret(), AgentType: "agent", AgentId: "a1", Endpoint: "/load/1000000/"}
	answer, err := s.checks.Check(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	report := &call{number: 1_000_000, checked: new(checkedOf(request, "acme", answer))}
	report.outcome = report.checked.outcome(201, 1)
	outcomes := &authv1.ReportRequest{Outcomes: []*authv1.Outcome{report.outcome}}
	var from, to time.Time
	s.whileFrozen(disk, l, func() {
		from = time.Now()
		answered := l.answered.Load()
		await(t, waitTimeout, func() bool { return l.answered.Load() > answered+200 }, func() any {
			return fmt.Sprint(l.answered.Load()-answered, " checks are answered on a frozen disk")
		})
		if _, err := s.checks.Report(t.Context(), outcomes); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "trail") {
			t.Errorf("a report on a frozen disk: %v, want UNAVAILABLE", err)
		}
		to = time.Now()
	})
	s.goesOn(l)
	if _, err := s.checks.Report(t.Context(), outcomes); err != nil {
		t.Errorf("the report when the disk responds: %v", err)
	}
	report.acknowledged = true
	calls, err := stop()
	if err != nil {
		t.Fatalf("-seed %d: %v", seed, err)
	}
	if answered := len(calls.answered()); answered != len(calls) {
		t.Errorf("%d of %d checks were not answered", len(calls)-answered, len(calls))
	}
	v := s.settle(append(calls, report))
	v.expectCorrect(t, seed)
	// The report was refused once. Uncertain rows may be there or not.
	refused, uncertain := s.auth.count(refusedMetric)-1, s.auth.count(uncertainMetric)
	t.Logf("%d refused, %d uncertain, p99 on the frozen disk %v", refused, uncertain, calls.p99(from, to))
	if lost := len(v.lost); refused == 0 || lost < refused || lost > refused+uncertain {
		t.Errorf("-seed %d: %d checks have no row, %d were counted as refused and %d as uncertain", seed, lost, refused, uncertain)
	}
	s.expectCleanTrail()
}

func TestAFrozenDiskRefusesChecksIfConfigured(t *testing.T) {
	t.Parallel()
	s, disk := newFreezableCluster(t, "--trail-full=refuse")
	seed := newSeed(t)
	s.start()
	l := &load{checks: s.checks, kinds: s.kinds(), clients: 8, every: 4 * time.Millisecond, seed: seed, reports: true}
	_, stop := l.start(t)
	s.whileFrozen(disk, l, func() {
		before := s.auth.count(refusedMetric)
		await(t, waitTimeout, func() bool { return s.auth.count(refusedMetric) > before+20 }, func() any { return "no check is refused" })
	})
	s.goesOn(l)
	calls, err := stop()
	if err != nil {
		t.Fatalf("-seed %d: %v", seed, err)
	}
	v, uncertain := s.settle(calls), s.auth.count(uncertainMetric)
	v.expectComplete(t, seed)
	if unknown := sum(v.unknown); unknown > uncertain {
		t.Errorf("-seed %d: %d checks without a response have a row, %d are uncertain", seed, unknown, uncertain)
	}
	s.expectCleanTrail()
}

// TestAuthServiceStopsOnAFrozenDisk thaws the disk only after the stop.
func TestAuthServiceStopsOnAFrozenDisk(t *testing.T) {
	t.Parallel()
	disk := disktest.Freezable(t, 64<<20)
	s := newRestarting(t, pgtest.Private(t).URL("postgres"))
	s.config.TrailDir = filepath.Join(disk.Dir, "trail")
	must(t, s.start())
	k := s.create()
	s.check(k)
	must(t, disk.Freeze())
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	select {
	case err := <-stopped:
		must(t, err)
		must(t, disk.Thaw())
	case <-time.After(waitTimeout):
		t.Error("the auth service waits for the disk")
		must(t, disk.Thaw())
		must(t, <-stopped)
	}
}
