package uuid7

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

// parts returns the time, the counter and the last 8 bytes of an id.
func parts(t *testing.T, id uuid.UUID) (at time.Time, counter int, tail [8]byte) {
	t.Helper()
	if !Valid(id) {
		t.Fatalf("%v is not a UUIDv7", id)
	}
	return Time(id), int(binary.BigEndian.Uint16(id[6:]) & 0xfff), [8]byte(id[8:])
}

// expect makes an id of time t, and expects its time and counter. It returns the last 8 bytes.
func (g *Generator) expect(t *testing.T, given, at time.Time, counter int) [8]byte {
	t.Helper()
	gotTime, gotCounter, tail := parts(t, g.New(given))
	if !gotTime.Equal(at) || gotCounter != counter {
		t.Fatalf("an id of %v has %v and counter %d, want %v and %d", given, gotTime, gotCounter, at, counter)
	}
	return tail
}

func TestGeneratorCountsTheIDsOfEachMillisecond(t *testing.T) {
	g := NewGenerator()
	first := g.expect(t, noon, noon, 0)
	for ms := range 3 {
		at := noon.Add(time.Duration(ms) * time.Millisecond)
		for i := range 100 {
			if ms == 0 && i == 0 {
				continue
			}
			if tail := g.expect(t, at.Add(time.Duration(i)), at, i); tail != first {
				t.Fatalf("the last bits change from %x to %x", first, tail)
			}
		}
	}
	if other := NewGenerator().expect(t, noon, noon, 0); other == first {
		t.Error("two generators have the same last bits")
	}
}

func TestGeneratorContinuesInTheNextMillisecondAfter4096IDs(t *testing.T) {
	g, next := NewGenerator(), noon.Add(time.Millisecond)
	for i := range 4096 {
		g.expect(t, noon, noon, i)
	}
	g.expect(t, noon, next, 0)
	g.expect(t, next, next, 1)
	g.expect(t, noon, next, 2)
	g.expect(t, next.Add(time.Millisecond), next.Add(time.Millisecond), 0)
}

func TestGeneratorTakesATimeLessThanASecondBackForTheLastOne(t *testing.T) {
	g := NewGenerator()
	tail := g.expect(t, noon, noon, 0)
	for i, back := range []time.Duration{1, time.Millisecond, 999 * time.Millisecond} {
		if got := g.expect(t, noon.Add(-back), noon, i+1); got != tail {
			t.Errorf("%v back changes the last bits", back)
		}
	}
}

func TestGeneratorDrawsNewBitsWhenTheClockWasSetBack(t *testing.T) {
	g := NewGenerator()
	for _, back := range []time.Duration{time.Second, time.Minute, 24 * time.Hour, noon.Sub(time.UnixMilli(0))} {
		at := noon.Add(-back)
		if before, after := g.expect(t, noon, noon, 0), g.expect(t, at, at, 0); before == after {
			t.Errorf("%v back: the last bits stay %x", back, after)
		}
		g.expect(t, at, at, 1)
		g = NewGenerator()
	}
}

func TestGeneratorDrawsNewBitsEveryHour(t *testing.T) {
	g := NewGenerator()
	tail := g.expect(t, noon, noon, 0)
	for hours := range 3 {
		next := noon.Add(time.Duration(hours+1) * time.Hour)
		if got := g.expect(t, next.Add(-time.Millisecond), next.Add(-time.Millisecond), 0); got != tail {
			t.Errorf("the last bits change within the hour, from %x to %x", tail, got)
		}
		before := tail
		if tail = g.expect(t, next, next, 0); tail == before {
			t.Errorf("the last bits stay %x for an hour", tail)
		}
		if stays := g.expect(t, next.Add(-1), next, 1); stays != tail {
			t.Errorf("an older time changes the last bits from %x to %x", tail, stays)
		}
	}
}

// makers lets 8 goroutines make 5,000 ids each, with the times that pick returns for a clock that goes on with every id.
// Every id must be new. It returns them by goroutine.
func makers(t *testing.T, pick func(r *rand.Rand, now time.Time) time.Time) [8][]uuid.UUID {
	t.Helper()
	g := NewGenerator()
	var (
		clock atomic.Int64
		made  [8][]uuid.UUID
		group sync.WaitGroup
	)
	for i := range made {
		group.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 5000 {
				made[i] = append(made[i], g.New(pick(r, noon.Add(time.Duration(clock.Add(int64(time.Microsecond)))))))
			}
		})
	}
	group.Wait()
	seen := map[uuid.UUID]bool{}
	for _, ids := range made {
		for _, id := range ids {
			if seen[id] || !Valid(id) {
				t.Fatalf("%v is invalid or was made twice", id)
			}
			seen[id] = true
		}
	}
	return made
}

func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most)))
}

func TestGeneratorNeverRepeatsAnIDWhateverTheTimes(t *testing.T) {
	makers(t, func(r *rand.Rand, now time.Time) time.Time {
		switch r.IntN(100) {
		case 0: // the clock was set back
			return now.Add(-time.Second - upTo(r, 2*time.Second))
		case 1: // or forward
			return now.Add(upTo(r, 2*time.Hour))
		}
		return now.Add(-upTo(r, 10*time.Millisecond))
	})
}

func TestIDsOfOneGoroutineAscendWhileOthersPassOlderTimes(t *testing.T) {
	for i, ids := range makers(t, func(r *rand.Rand, now time.Time) time.Time { return now.Add(-upTo(r, 900*time.Millisecond)) }) {
		for n := range len(ids) - 1 {
			if !less(ids[n], ids[n+1]) {
				t.Fatalf("goroutine %d: %v is not below the next id %v", i, ids[n], ids[n+1])
			}
		}
	}
}

func TestGeneratorAllocatesNothing(t *testing.T) {
	g := NewGenerator()
	if n := testing.AllocsPerRun(1000, func() { g.New(noon) }); n != 0 {
		t.Errorf("an id takes %v allocations", n)
	}
}

func BenchmarkNew(b *testing.B)       { benchmark(b, New) }
func BenchmarkGenerator(b *testing.B) { benchmark(b, NewGenerator().New) }

// benchmark makes ids on all cores, without the time that reading a clock takes.
func benchmark(b *testing.B, make func(time.Time) uuid.UUID) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			make(noon)
		}
	})
}
