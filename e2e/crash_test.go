package e2e

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/testing/pgserver"
)

var (
	kills = flag.Int("kills", 0, "number of kills in each crash test; 0 for few")
	seeds = flag.Uint64("seed", 0, "random seed of the tests under load; 0 for a random one")
)

// newSeed returns the seed of a test and logs how to repeat the run.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *seeds
	if seed == 0 {
		seed = rand.Uint64N(1e9) + 1
	}
	repeat := fmt.Sprintf("-run '^%s$' -seed %d", t.Name(), seed)
	for _, name := range []string{"kills", "rounds", "faults"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != f.DefValue {
			repeat += fmt.Sprintf(" -%s %v", name, f.Value)
		}
	}
	t.Logf("repeat with: %s", repeat)
	return seed
}

type target struct {
	name     string
	down, up func() error
}

func (s *cluster) targets() []target {
	found := []target{{s.auth.name, s.auth.down, s.auth.up}}
	if s.postgres == nil {
		return found
	}
	return append(found, target{s.logs.name, s.logs.down, s.logs.up}, target{
		"postgres",
		func() error { return s.postgres.Down(pgserver.Immediate) },
		func() error { return s.postgres.Up(s.t.Context()) },
	})
}

// killer kills random processes at random times, one or two at once, and restarts them.
type killer struct {
	random  *rand.Rand
	targets []target
	killed  map[string]int
}

// run kills until the number of kills is reached or ctx ends. All targets are up when it returns.
func (k *killer) run(ctx context.Context, kills int) error {
	for sum(k.killed) < kills && ctx.Err() == nil {
		pause(ctx, k.nextDelay())
		if err := k.killAndRestart(ctx); err != nil {
			return err
		}
	}
	return nil
}

// nextDelay returns the time until the next kill. The trail ships after at most a second: some kills come before that,
// some while rows are in flight.
func (k *killer) nextDelay() time.Duration {
	if k.random.IntN(3) == 0 {
		return time.Duration(1000+k.random.IntN(400)) * time.Millisecond
	}
	return time.Duration(30+k.random.IntN(500)) * time.Millisecond
}

// killAndRestart kills some targets and restarts them in another order.
func (k *killer) killAndRestart(ctx context.Context) error {
	several := 1
	if k.random.IntN(3) == 0 {
		several = min(2, len(k.targets))
	}
	chosen := k.random.Perm(len(k.targets))[:several]
	for _, i := range chosen {
		if err := k.targets[i].down(); err != nil {
			return fmt.Errorf("kill %s: %w", k.targets[i].name, err)
		}
		k.killed[k.targets[i].name]++
	}
	k.random.Shuffle(several, func(a, b int) { chosen[a], chosen[b] = chosen[b], chosen[a] })
	for _, i := range chosen {
		pause(ctx, time.Duration(k.random.IntN(150))*time.Millisecond)
		if err := k.targets[i].up(); err != nil {
			return fmt.Errorf("restart %s: %w", k.targets[i].name, err)
		}
	}
	return nil
}

// crash runs a load while processes are killed. It expects that no acknowledged row is lost or duplicated, and that the
// shared rows of overloads count their calls.
func (s *cluster) crash(overloads ...*load) {
	s.t.Helper()
	seed, began := newSeed(s.t), time.Now()
	s.start()
	kinds := append(s.kinds(), unprovedKinds()...)
	if s.postgres != nil {
		s.auth.restart() // so that it knows the keys also when it starts while Postgres is away
	}
	l := &load{checks: s.checks, kinds: kinds, clients: 6, every: 20 * time.Millisecond, seed: seed, reports: true}
	working, stop := l.start(s.t)
	expectCounted := s.startOverloads(overloads)
	k := &killer{random: rand.New(rand.NewPCG(seed, 1<<32)), targets: s.targets(), killed: map[string]int{}}
	if err := k.run(working, cmp.Or(*kills, 24)); err != nil {
		s.t.Fatal(err)
	}
	calls, err := stop()
	if err != nil {
		s.t.Fatalf("-seed %d: %v", seed, err)
	}
	expectCounted(seed)
	s.settle(calls).expectComplete(s.t, seed)
	s.expectCleanTrail()
	s.t.Logf("killed %v in %v; %s exited unexpectedly %d times", k.killed, time.Since(began).Round(time.Second/10),
		s.auth.name, s.auth.unexpectedExits())
}

// unexpectedExits counts the exits of a daemon that were not kills.
func (d *daemon) unexpectedExits() int {
	return strings.Count(d.printed.String(), "exited unexpectedly")
}

func TestNothingIsLostOrDuplicatedWhenServicesAreKilled(t *testing.T) {
	t.Parallel()
	s := newCluster(t, "--stranger-rows-per-second", strconv.Itoa(overloadRowsPerSecond))
	s.crash(s.overload())
}

func TestNothingIsLostOrDuplicatedWhenServeIsKilled(t *testing.T) {
	t.Parallel()
	s := newEmbeddedCluster(t)
	s.crash()
	if ends := s.auth.unexpectedExits(); ends > 0 {
		t.Errorf("the process exited unexpectedly %d times:\n%s", ends, &s.auth.printed)
	}
}
