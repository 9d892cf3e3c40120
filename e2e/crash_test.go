package e2e

import (
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
	kills = flag.Int("kills", 24, "how many processes the crash tests kill, each")
	seeds = flag.Uint64("seed", 0, "what the tests under load draw their choices from; 0 = something new")
)

// newSeed is the seed of a test, which tells how to run it again.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *seeds
	if seed == 0 {
		seed = rand.Uint64N(1e9) + 1
	}
	t.Logf("to draw the same again: -run '^%s$' -seed %d -kills %d", t.Name(), seed, *kills)
	return seed
}

// victim is a process to be killed.
type victim struct {
	name     string
	down, up func() error
}

func (s *stand) victims() []victim {
	found := []victim{{s.auth.name, s.auth.down, s.auth.up}}
	if s.postgres == nil {
		return found
	}
	return append(found, victim{s.logs.name, s.logs.down, s.logs.up}, victim{
		"postgres",
		func() error { return s.postgres.Down(pgserver.Immediate) },
		func() error { return s.postgres.Up(s.t.Context()) },
	})
}

// killer kills processes at random moments, one or two at a time, and brings them back.
type killer struct {
	random  *rand.Rand
	victims []victim
	killed  map[string]int
}

// run kills this many, unless ctx ends before; in the end all are up.
func (k *killer) run(ctx context.Context, kills int) error {
	for sum(k.killed) < kills && ctx.Err() == nil {
		pause(ctx, k.life())
		if err := k.strike(ctx); err != nil {
			return err
		}
	}
	return nil
}

// life is how long the processes live until the next strike. Rows wait a second for company: some lives end before that,
// and some while rows are under way.
func (k *killer) life() time.Duration {
	if k.random.IntN(3) == 0 {
		return time.Duration(1000+k.random.IntN(400)) * time.Millisecond
	}
	return time.Duration(30+k.random.IntN(500)) * time.Millisecond
}

// strike kills some and brings them back, in another order.
func (k *killer) strike(ctx context.Context) error {
	several := 1
	if k.random.IntN(3) == 0 {
		several = min(2, len(k.victims))
	}
	chosen := k.random.Perm(len(k.victims))[:several]
	for _, i := range chosen {
		if err := k.victims[i].down(); err != nil {
			return fmt.Errorf("kill %s: %w", k.victims[i].name, err)
		}
		k.killed[k.victims[i].name]++
	}
	k.random.Shuffle(several, func(a, b int) { chosen[a], chosen[b] = chosen[b], chosen[a] })
	for _, i := range chosen {
		pause(ctx, time.Duration(k.random.IntN(150))*time.Millisecond)
		if err := k.victims[i].up(); err != nil {
			return fmt.Errorf("bring %s back: %w", k.victims[i].name, err)
		}
	}
	return nil
}

// crash runs a load while processes are killed, and expects that nothing promised is lost and nothing is twice there. The
// calls of a flood, which shares rows, it expects to be counted.
func (s *stand) crash(floods ...*load) {
	s.t.Helper()
	seed, began := newSeed(s.t), time.Now()
	s.start()
	l := &load{checks: s.checks, kinds: append(s.kinds(), strangers()...), clients: 6, every: 20 * time.Millisecond, seed: seed, reports: true}
	working, stop := l.start(s.t)
	expectCounted := s.startFloods(floods)
	k := &killer{random: rand.New(rand.NewPCG(seed, 1<<32)), victims: s.victims(), killed: map[string]int{}}
	if err := k.run(working, *kills); err != nil {
		s.t.Fatal(err)
	}
	calls, err := stop()
	if err != nil {
		s.t.Fatalf("-seed %d: %v", seed, err)
	}
	expectCounted(seed)
	s.settle(calls).expectWhole(s.t, seed)
	s.expectCleanTrail()
	s.t.Logf("killed %v in %v; %s ended %d times by itself", k.killed, time.Since(began).Round(time.Second/10),
		s.auth.name, s.auth.ownEnds())
}

// ownEnds counts how often a daemon has ended by itself.
func (d *daemon) ownEnds() int { return strings.Count(d.printed.String(), "has ended by itself") }

func TestNothingIsLostOrDoubledWhilePartsAreKilled(t *testing.T) {
	t.Parallel()
	s := splitStand(t, "--stranger-rows-per-second", strconv.Itoa(floodRows))
	s.crash(s.flood())
}

func TestNothingIsLostOrDoubledWhileTheOneProcessIsKilled(t *testing.T) {
	t.Parallel()
	s := embeddedStand(t)
	s.crash()
	if ends := s.auth.ownEnds(); ends > 0 {
		t.Errorf("the process ended %d times by itself:\n%s", ends, &s.auth.printed)
	}
}
