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

// stress uses a log concurrently with random operations.
type stress struct {
	t *testing.T
	w *WAL
	r *Reader
	// released is how many records of each appender are released.
	released []int
}

const (
	stressBytes     = 16 << 10
	stressAppenders = 4
	stressRecords   = 300
)

// append appends an appender's records, of any size, until the log is closed.
func (c *stress) append(appender int, random *rand.Rand) (taken int) {
	for taken < stressRecords {
		records := make([]string, 1+random.IntN(3))
		for i := range records {
			records[i] = fmt.Sprintf("%d %d %s", appender, taken+i, strings.Repeat(".", random.IntN(1200)))
		}
		switch err := appendStrings(c.w, records...); {
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

// watch calls the other methods until ctx ends.
func (c *stress) watch(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		if waiting := c.w.BacklogBytes(); waiting < 0 || waiting > stressBytes {
			c.t.Errorf("%d bytes wait", waiting)
		}
		if err := c.w.Err(); err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, errClosed) {
			c.t.Error(err)
		}
		c.w.SetExternalBytes(random.Int64N(stressBytes / 4))
		runtime.Gosched()
	}
}

// read reads some records, and expects those of each appender in their order.
func (c *stress) read(next []int, most int) {
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

// step reads some records, then releases all or some of them, releases an earlier position again, or rewinds.
func (c *stress) step(random *rand.Rand) {
	next := slices.Clone(c.released)
	c.read(next, random.IntN(20))
	middle, seen := c.r.Position(), slices.Clone(next)
	c.read(next, random.IntN(20))
	if err := c.w.Release(middle); err != nil {
		c.t.Fatal(err)
	}
	if c.released = seen; random.IntN(2) == 0 {
		mustRelease(c.t, c.w, c.r)
		c.released = next
		if err := c.w.Release(middle); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	if err := c.r.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.r = c.w.NewReader()
}

func TestConcurrentUse(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			c := &stress{t: t, released: make([]int, stressAppenders)}
			fsync := time.Duration(seed%2) * time.Millisecond
			w, seen := openTestWAL(t, memoryDir(t), func(o *Options) { o.MaxBytes, o.Fsync = stressBytes, fsync })
			c.w, c.r = w, w.NewReader()
			taken := make([]int, stressAppenders)
			var appending, watching sync.WaitGroup
			for a := range stressAppenders {
				appending.Go(func() { taken[a] = c.append(a, rand.New(rand.NewPCG(seed, uint64(1+a)))) })
			}
			ctx, end := context.WithCancel(t.Context())
			watching.Go(func() { c.watch(ctx, rand.New(rand.NewPCG(seed, 99))) })
			enough := stressAppenders * (stressRecords/4 + random.IntN(stressRecords/2))
			for deadline := time.Now().Add(time.Minute); sum(c.released) < enough && time.Now().Before(deadline); {
				c.step(random)
			}
			mustClose(t, w) // while they append
			appending.Wait()
			end()
			watching.Wait()
			if err := c.r.Close(); err != nil {
				t.Error(err)
			}
			c.w, _ = openTestWAL(t, w.options.Dir, nil)
			c.r = newReader(t, c.w)
			c.read(c.released, stressAppenders*stressRecords*2)
			if !slices.Equal(c.released, taken) || sum(taken) < enough || seen.damaged.Load() != 0 {
				t.Errorf("read %v, taken %v; %d bytes damaged", c.released, taken, seen.damaged.Load())
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
