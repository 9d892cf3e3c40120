package logsvc

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
)

// expectRefused expects a TooManySearches fault.
func expectRefused(t *testing.T, err error) {
	t.Helper()
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Reason != fault.TooManySearches {
		t.Errorf("a search too many: %v", err)
	}
}

// mustTake takes a turn that is free.
func mustTake(t *testing.T, all *turns, workspaceID string) (done func()) {
	t.Helper()
	done, err := all.take(t.Context(), workspaceID)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestSearchesOfAWorkspaceWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &turns{atOnce: 2, queues: map[string]*queue{}}
		first, second := mustTake(t, all, "acme"), mustTake(t, all, "acme")
		var served []int
		for i := range maxWaiting {
			go func() {
				done, err := all.take(t.Context(), "acme")
				if err != nil {
					t.Errorf("search %d: %v", i, err)
					return
				}
				served = append(served, i)
				done()
			}()
			synctest.Wait()
		}
		if len(served) > 0 {
			t.Errorf("%v run beside two others", served)
		}
		_, err := all.take(t.Context(), "acme")
		expectRefused(t, err)
		mustTake(t, all, "globex")() // another workspace
		first()
		synctest.Wait()
		if !slices.IsSorted(served) || len(served) != maxWaiting {
			t.Errorf("served %v, want all in their order", served)
		}
		second()
		if len(all.queues) != 0 {
			t.Errorf("%d queues are left", len(all.queues))
		}
	})
}

func TestSearchThatWaitsForTooLongIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &turns{atOnce: 2, queues: map[string]*queue{}}
		first, second := mustTake(t, all, "acme"), mustTake(t, all, "acme")
		began := time.Now()
		_, err := all.take(t.Context(), "acme")
		expectRefused(t, err)
		if waited := time.Since(began); waited != maxWait {
			t.Errorf("it waited for %v", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), maxWait/2)
		defer cancel()
		if _, err := all.take(ctx, "acme"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a search with a deadline: %v", err)
		}
		first()
		mustTake(t, all, "acme")()
		second()
		if len(all.queues) != 0 {
			t.Errorf("%d queues are left", len(all.queues))
		}
	})
}
