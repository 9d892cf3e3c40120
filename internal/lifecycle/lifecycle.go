// Package lifecycle starts and stops the parts of a process in order.
package lifecycle

import (
	"context"
	"errors"
	"slices"
)

// Part is a part of a process. It runs until ctx ends, then stops and returns nil.
type Part func(ctx context.Context) error

// Run runs the parts until ctx ends or one of them returns, then stops them one after the other, the last first: a part may
// use those before it until it has stopped. It returns all errors.
func Run(ctx context.Context, parts ...Part) error {
	returned := make(chan struct{}, len(parts))
	errs := make([]error, len(parts))
	stops := make([]func(), len(parts))
	for i, part := range parts {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		stops[i] = func() { cancel(); <-done }
		go func() {
			defer close(done)
			errs[i] = part(ctx)
			returned <- struct{}{}
		}()
	}
	select {
	case <-ctx.Done():
	case <-returned:
	}
	for _, stop := range slices.Backward(stops) {
		stop()
	}
	return errors.Join(errs...)
}
