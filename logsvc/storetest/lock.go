package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keytrail/keytrail/logsvc"
)

var lockSentences = []sentence{
	{"calls do while it holds the lock, and returns its error", locksAndCalls},
	{"one caller at a time holds it: another one gets false, and its do is not called", lockIsExclusive},
	{"each workspace has a lock of its own", lockIsOfAWorkspace},
	{"the lock is free after do, and after its error", lockIsReleased},
	{"at any time, one of many callers is in do", oneOfManyHoldsLock},
	{"do may call the methods of the store, in many workspaces at once", locksWhileWorking},
}

// tryLock returns whether do was called.
func (f *fixture) tryLock(workspaceID string, do func(context.Context) error) (acquired bool, err error) {
	called := false
	acquired, err = f.store.TryLock(f.Context(), f.scoped(workspaceID), func(ctx context.Context) error {
		called = true
		return do(ctx)
	})
	if acquired != called {
		f.Errorf("TryLock returned %t, and called do: %t", acquired, called)
	}
	return acquired, err
}

func nothing(context.Context) error { return nil }

// free fails unless the lock is free, or held.
func (f *fixture) free(workspaceID string, want bool) {
	f.Helper()
	if acquired, err := f.tryLock(workspaceID, nothing); acquired != want || err != nil {
		f.Errorf("TryLock(%s) = %t, %v, want %t", workspaceID, acquired, err, want)
	}
}

func locksAndCalls(f *fixture) {
	problem := errors.New("problem")
	for _, want := range []error{nil, problem, logsvc.ErrConflict, nil} {
		acquired, err := f.tryLock(acme, func(ctx context.Context) error { return errors.Join(ctx.Err(), want) })
		if !acquired || !isError(err, want) {
			f.Errorf("TryLock = %t, %v, want %v", acquired, err, want)
		}
	}
}

// lockIsExclusive tries twice, so that each replica tries.
func lockIsExclusive(f *fixture) {
	for range 3 {
		_, err := f.tryLock(acme, func(context.Context) error {
			f.free(acme, false)
			f.free(acme, false)
			return nil
		})
		if err != nil {
			f.Errorf("TryLock: %v", err)
		}
		f.free(acme, true)
	}
}

func lockIsOfAWorkspace(f *fixture) {
	acquired, err := f.tryLock(acme, func(context.Context) error {
		for range 2 {
			f.free(globex, true)
			f.free("acm", true)
		}
		return nil
	})
	if !acquired || err != nil {
		f.Errorf("TryLock = %t, %v", acquired, err)
	}
}

func lockIsReleased(f *fixture) {
	for _, result := range []error{nil, errors.New("problem"), context.Canceled} {
		_, _ = f.tryLock(acme, func(context.Context) error { return result })
		f.free(acme, true)
		f.free(acme, true)
	}
	ctx, cancel := context.WithCancel(f.Context())
	_, _ = f.store.TryLock(ctx, f.scoped(acme), func(context.Context) error { cancel(); return ctx.Err() })
	f.free(acme, true)
	f.free(acme, true)
}

func oneOfManyHoldsLock(f *fixture) {
	var group sync.WaitGroup
	var inside, held atomic.Int32
	for range 8 {
		group.Go(func() {
			for range 20 {
				_, err := f.tryLock(acme, func(ctx context.Context) error {
					if inside.Add(1) != 1 {
						f.Error("two callers hold the lock")
					}
					_, err := f.store.Oldest(ctx, f.scoped(acme), f.everything(), 1)
					inside.Add(-1)
					held.Add(1)
					return err
				})
				if err != nil {
					f.Errorf("TryLock: %v", err)
				}
			}
		})
	}
	group.Wait()
	if held.Load() == 0 {
		f.Error("no caller held the lock")
	}
}

// locksWhileWorking would not end if a lock kept a connection, and all were in use.
func locksWhileWorking(f *fixture) {
	ctx, cancel := context.WithTimeout(f.Context(), 20*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for i := range 40 {
		workspaceID := f.scoped("w" + string(rune('A'+i)))
		group.Go(func() {
			acquired, err := f.store.TryLock(ctx, workspaceID, func(ctx context.Context) error {
				_, err := f.store.Oldest(ctx, workspaceID, f.everything(), 1)
				return errors.Join(err, f.store.Record(ctx, []logsvc.Entry{in(workspaceID, f.call(0))}))
			})
			if !acquired || err != nil {
				f.Errorf("TryLock(%s) = %t, %v", workspaceID, acquired, err)
			}
		})
	}
	group.Wait()
}
