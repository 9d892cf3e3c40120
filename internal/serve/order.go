package serve

import (
	"context"
	"errors"
)

// Run is a part of the process: it works until ctx ends, then winds up and answers nil.
type Run func(ctx context.Context) error

// InOrder runs the parts until ctx ends or one of them stops, then ends them one after the other, the last first:
// a part may lean on those before it until its own end. It answers every error.
func InOrder(ctx context.Context, parts ...Run) error {
	stopped := make(chan struct{}, len(parts))
	errs := make([]error, len(parts))
	ends := make([]func(), len(parts))
	for i, part := range parts {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		ends[i] = func() { cancel(); <-done }
		go func() {
			defer close(done)
			errs[i] = part(ctx)
			stopped <- struct{}{}
		}()
	}
	select {
	case <-ctx.Done():
	case <-stopped:
	}
	for i := len(parts) - 1; i >= 0; i-- {
		ends[i]()
	}
	return errors.Join(errs...)
}
