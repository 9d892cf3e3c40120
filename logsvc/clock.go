package logsvc

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// clockTolerance is by how much the clocks of this machine and of the store may differ.
	clockTolerance = time.Minute
	// clockInterval is how often FollowClock reads the store's clock. A probe sees soon that the clocks agree again.
	clockInterval = 5 * time.Second
	// readTimeout bounds the error of a reading, which is at most half of the time that it took.
	readTimeout = 5 * time.Second
)

// ReadTime returns the time by a store's clock, which decides what is in the window. It gets the time of this machine.
type ReadTime func(ctx context.Context, local time.Time) (time.Time, error)

// clock is the clock of the store as this process knows it: it is read now and then, and runs on with the clock of this machine
// in between. It is safe for concurrent use.
type clock struct {
	local func() time.Time
	// read is nil if the clock of this machine is that of the store.
	read   ReadTime
	latest atomic.Pointer[reading]
}

// reading is one moment by both clocks.
type reading struct{ store, local time.Time }

// now returns the time by the store's clock. As the time since the latest reading is monotonic, it stays right while the clock
// of this machine is set.
func (c *clock) now() time.Time {
	latest := c.latest.Load()
	if latest == nil {
		return c.local()
	}
	return latest.store.Add(c.local().Sub(latest.local))
}

// update reads the store's clock.
func (c *clock) update(ctx context.Context) error {
	if c.read == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	before := c.local()
	store, err := c.read(ctx, before)
	if err != nil {
		return fmt.Errorf("read the clock of the request logs: %w", err)
	}
	c.latest.Store(&reading{store: store, local: before.Add(c.local().Sub(before) / 2)})
	return nil
}

// check returns an error if the clocks are too far apart. Round removes the monotonic times.
func (c *clock) check() error {
	local, store := c.local().Round(0), c.now().Round(0)
	if local.Sub(store).Abs() <= clockTolerance {
		return nil
	}
	return fmt.Errorf("the clock of this machine is at %s, that of the request logs at %s: "+
		"nothing expires until they agree to the minute",
		local.UTC().Format(time.RFC3339), store.UTC().Format(time.RFC3339))
}

// Now returns the time by the store's clock.
func (s *Service) Now() time.Time { return s.clock.now() }

// UpdateClock reads the store's clock.
func (s *Service) UpdateClock(ctx context.Context) error { return s.clock.update(ctx) }

// FollowClock reads the store's clock every few seconds until ctx is done. While it cannot be read, the latest reading counts;
// Ping reports that the store is away.
func (s *Service) FollowClock(ctx context.Context) {
	repeat(ctx, clockInterval, s.UpdateClock, func(error) {})
}

// CheckClock returns an error with both times if the clocks of this machine and of the store are more than a minute apart.
func (s *Service) CheckClock(context.Context) error { return s.clock.check() }
