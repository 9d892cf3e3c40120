package wal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd is a journal that everybody uses at once, each by dice of its own.
type crowd struct {
	t *testing.T
	j *Journal
	r *Reader
	// released are how many records of each appender are released for good.
	released []int
}

const (
	crowdBytes = 16 << 10
	crowdSize  = 4
	crowdEach  = 300
)

// append appends an appender's records, of any size, until the journal is closed.
func (c *crowd) append(appender int, dice *rand.Rand) (taken int) {
	for taken < crowdEach {
		records := make([]string, 1+dice.IntN(3))
		for i := range records {
			records[i] = fmt.Sprintf("%d %d %s", appender, taken+i, strings.Repeat(".", dice.IntN(1200)))
		}
		switch err := appendStrings(c.j, records...); {
		case err == nil:
			taken += len(records)
		case errors.Is(err, errClosed):
			return taken
		case errors.Is(err, ErrFull):
			runtime.Gosched()
		default:
			c.t.Error(err)
			return taken
		}
	}
	return taken
}

// watch asks what anyone may ask, until ctx ends.
func (c *crowd) watch(ctx context.Context, dice *rand.Rand) {
	for ctx.Err() == nil {
		if waiting := c.j.Waiting(); waiting < 0 || waiting > crowdBytes {
			c.t.Errorf("%d bytes wait", waiting)
		}
		if err := c.j.Err(); err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, errClosed) {
			c.t.Error(err)
		}
		c.j.Beside(dice.Int64N(crowdBytes / 4))
		runtime.Gosched()
	}
}

// read reads some records, and expects those of each appender in their order.
func (c *crowd) read(next []int, most int) {
	for range most {
		record, ok, err := c.r.Next()
		if err != nil {
			c.t.Fatal(err)
		}
		if !ok {
			return
		}
		var appender, number int
		if _, err := fmt.Sscan(string(record.Payload), &appender, &number); err != nil {
			c.t.Fatal(err)
		}
		if number != next[appender] {
			c.t.Fatalf("appender %d: read %d, want %d", appender, number, next[appender])
		}
		next[appender]++
	}
}

// step reads on, and then releases all or a part of it, releases what was released before, or reads it once more.
func (c *crowd) step(dice *rand.Rand) {
	next := slices.Clone(c.released)
	c.read(next, dice.IntN(20))
	middle, seen := c.r.Position(), slices.Clone(next)
	c.read(next, dice.IntN(20))
	if err := c.j.Release(middle); err != nil {
		c.t.Fatal(err)
	}
	if c.released = seen; dice.IntN(2) == 0 {
		mustRelease(c.t, c.j, c.r)
		c.released = next
		if err := c.j.Release(middle); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	if err := c.r.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.r = c.j.NewReader()
}

func TestACrowd(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			dice := rand.New(rand.NewPCG(seed, 0))
			c := &crowd{t: t, released: make([]int, crowdSize)}
			fsync := time.Duration(seed%2) * time.Millisecond
			j, w := openJournal(t, memoryDir(t), func(o *Options) { o.MaxBytes, o.Fsync = crowdBytes, fsync })
			c.j, c.r = j, j.NewReader()
			taken := make([]int, crowdSize)
			var appending, watching sync.WaitGroup
			for a := range crowdSize {
				appending.Go(func() { taken[a] = c.append(a, rand.New(rand.NewPCG(seed, uint64(1+a)))) })
			}
			ctx, end := context.WithCancel(t.Context())
			watching.Go(func() { c.watch(ctx, rand.New(rand.NewPCG(seed, 99))) })
			enough := crowdSize * (crowdEach/4 + dice.IntN(crowdEach/2))
			for deadline := time.Now().Add(time.Minute); sum(c.released) < enough && time.Now().Before(deadline); {
				c.step(dice)
			}
			mustClose(t, j) // while they append
			appending.Wait()
			end()
			watching.Wait()
			if err := c.r.Close(); err != nil {
				t.Error(err)
			}
			c.j, _ = openJournal(t, j.options.Dir, nil)
			c.r = newReader(t, c.j)
			c.read(c.released, crowdSize*crowdEach*2)
			if !slices.Equal(c.released, taken) || sum(taken) < enough || w.damaged.Load() != 0 {
				t.Errorf("read %v, taken %v; %d bytes damaged", c.released, taken, w.damaged.Load())
			}
		})
	}
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}
