package e2e

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

var (
	rounds     = flag.Int("rounds", 10, "number of rounds of the random faults")
	onlyFaults = flag.String("faults", "", "kinds of the random faults, separated by commas; empty for all")
)

// readyTimeout is how long after the last fault of a round the system may take until it is ready again by itself.
const readyTimeout = 15 * time.Second

// plannedFault is a fault of a round. It is drawn before the round, so that the seed determines it.
type plannedFault struct {
	randomFault
	delay, duration time.Duration
	random          *rand.Rand
}

func (p plannedFault) String() string {
	return fmt.Sprintf("%s for %v after %v", p.name, p.duration.Round(time.Millisecond), p.delay.Round(time.Millisecond))
}

// run makes the fault and heals it, even if ctx ends.
func (p plannedFault) run(ctx context.Context) error {
	pause(ctx, p.delay)
	heal, err := p.begin(ctx, p.random)
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	pause(ctx, p.duration)
	if err := heal(); err != nil {
		return fmt.Errorf("end of %q: %w", p.name, err)
	}
	return nil
}

// faultsOf returns a list of the faults of a round.
func faultsOf(round []plannedFault) string {
	var texts []string
	for _, f := range round {
		texts = append(texts, f.String())
	}
	return strings.Join(texts, ", ")
}

// faultPlan draws the faults of each round.
type faultPlan struct {
	random *rand.Rand
	kinds  []faultKind
	// deck has the kinds that are the next to come first in a round: every kind comes equally often.
	deck []faultKind
}

// next draws one to three faults, at different places.
func (p *faultPlan) next() (faults []plannedFault) {
	if len(p.deck) == 0 {
		p.deck = slices.Clone(p.kinds)
		p.random.Shuffle(len(p.deck), func(a, b int) { p.deck[a], p.deck[b] = p.deck[b], p.deck[a] })
	}
	faults, p.deck = []plannedFault{p.draw(p.deck[0])}, p.deck[1:]
	for range []int{0, 0, 0, 1, 1, 2}[p.random.IntN(6)] {
		another := p.draw(p.kinds[p.random.IntN(len(p.kinds))])
		if !slices.ContainsFunc(faults, func(f plannedFault) bool { return f.place == another.place }) {
			faults = append(faults, another)
		}
	}
	return faults
}

// draw draws a fault of a kind. Half of the faults last less than a quarter of the longest time.
func (p *faultPlan) draw(kind faultKind) plannedFault {
	part := p.random.Float64()
	return plannedFault{
		randomFault: kind.faults[p.random.IntN(len(kind.faults))],
		delay:       time.Duration(p.random.IntN(500)) * time.Millisecond,
		duration:    kind.least + time.Duration(part*part*float64(kind.most-kind.least)),
		random:      rand.New(rand.NewPCG(p.random.Uint64(), 0)),
	}
}

// round runs the load while faults happen, waits until the system is ready again, and compares the rows of the round.
func (s *faultySystem) round(number int, faults []plannedFault) {
	s.t.Helper()
	compared := false
	defer func() {
		if !compared {
			s.t.Logf("the test ended in round %d: %s", number, faultsOf(faults))
		}
	}()
	began, first := time.Now(), len(s.calls)
	working, stopLoad := s.load.start(s.t)
	stopChanges := s.changes.start(working)
	group, _ := errgroup.WithContext(working)
	for _, f := range faults {
		group.Go(func() error { return f.run(working) })
	}
	if err := group.Wait(); err != nil {
		s.t.Errorf("%v", err)
	}
	ready := s.awaitReady()
	changeErr := stopChanges()
	calls, err := stopLoad()
	if err != nil || changeErr != nil {
		s.t.Fatalf("load: %v; key changes: %v", err, changeErr)
	}
	s.calls = append(s.calls, calls...)
	s.changes.expectInForce(s.t)
	v := s.compare(s.calls[first:], began, number%2)
	compared = true
	s.t.Logf("round %d: %s; ready after %v; %d checks, %d with a response, %d reports, %d rows: %s", number, faultsOf(faults),
		ready.Round(10*time.Millisecond), sum(v.asked), sum(v.answered), v.reported, sum(v.rows), v.result())
	v.expectComplete(s.t, s.load.seed)
}

// awaitReady waits until all processes are ready, and returns how long it took.
func (s *faultySystem) awaitReady() time.Duration {
	s.t.Helper()
	began, state := time.Now(), map[string]string{}
	await(s.t, readyTimeout, func() bool {
		clear(state)
		for _, p := range s.processes() {
			if code, text, err := getOps(p.ops, "/readyz"); err != nil || code != http.StatusOK {
				state[p.name] = fmt.Sprintf("%d %s %v", code, strings.TrimSpace(text), err)
			}
		}
		return len(state) == 0
	}, func() any { return state })
	return time.Since(began)
}

// compare waits until all rows are stored, and compares those of some calls, as one log service lists them.
func (s *faultySystem) compare(calls history, began time.Time, service int) comparison {
	s.t.Helper()
	for _, c := range s.clusters {
		awaitShipped(s.t, c.auth.ops)
	}
	numbers := map[int]bool{}
	for _, c := range calls {
		numbers[c.number] = true
	}
	// The clock of an auth service may have been behind.
	since := timestamppb.New(began.Add(-2 * time.Minute))
	var rows []*logsv1.RequestLog
	for _, workspace := range []string{"acme", "_unattributed"} {
		request := &logsv1.ListRequestLogsRequest{WorkspaceId: workspace, StartTime: since, Endpoint: "/load/"}
		for _, row := range walk(s.t, s.clusters[service].list, request) {
			if numbers[numberOf(row)] {
				rows = append(rows, row)
			}
		}
	}
	return calls.compare(rows)
}

// TestNothingIsLostOrDuplicatedUnderRandomFaults does not run in parallel with the other tests of the package: they would
// delay the processes that must be ready in time.
func TestNothingIsLostOrDuplicatedUnderRandomFaults(t *testing.T) {
	seed, began := newSeed(t), time.Now()
	s := newFaultySystem(t, seed)
	s.start()
	counts := map[string]int{}
	plan := &faultPlan{random: rand.New(rand.NewPCG(seed, 1<<32)), kinds: s.faultKinds()}
	if len(plan.kinds) == 0 {
		t.Fatalf("-faults %s: no such kind", *onlyFaults)
	}
	for number := 1; number <= *rounds; number++ {
		faults := plan.next()
		s.round(number, faults)
		for _, f := range faults {
			kind, _, _ := strings.Cut(f.name, " ")
			counts[kind]++
		}
	}
	var v comparison
	for i := range s.clusters {
		v = s.compare(s.calls, began, i)
		v.expectComplete(t, seed)
		s.clusters[i].expectCleanTrail()
	}
	var text strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&text, "%s %d, ", kind, counts[kind])
	}
	t.Logf("-seed %d: %d rounds in %v: %s%d connections cut; %d checks, %d with a response, %d reports, %d key changes, %d rows: %s",
		seed, *rounds, time.Since(began).Round(time.Second), &text, s.resets(), sum(v.asked), sum(v.answered), v.reported,
		s.changes.changes, sum(v.rows), v.result())
}
