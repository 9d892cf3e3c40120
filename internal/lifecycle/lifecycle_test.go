package lifecycle

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder records the order in which parts end.
type recorder struct {
	mu    sync.Mutex
	ended []string
}

// part runs until its context ends, and then takes stopTime to stop.
func (r *recorder) part(name string, stopTime time.Duration, err error) Part {
	return func(ctx context.Context) error {
		<-ctx.Done()
		<-time.After(stopTime)
		return r.end(name, err)
	}
}

func (r *recorder) end(name string, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, name)
	return err
}

func TestPartsStopInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		// The first parts stop faster: if all were stopped at once, they would end first.
		err := Run(ctx, r.part("store", 0, nil), r.part("queue", time.Second, nil), r.part("server", time.Hour, nil))
		if err != nil || !slices.Equal(r.ended, []string{"server", "queue", "store"}) {
			t.Errorf("ended %v, error %v", r.ended, err)
		}
		if took := time.Since(began); took != time.Minute+time.Hour+time.Second {
			t.Errorf("it took %v, want the sum of all stop times", took)
		}
	})
}

func TestPartThatReturnsStopsTheOthers(t *testing.T) {
	failed, full := errors.New("failed"), errors.New("full")
	for name, stops := range map[string]error{"with an error": failed, "without one": nil} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{}
			err := Run(t.Context(),
				r.part("store", 0, full),
				func(context.Context) error { return r.end("listener", stops) },
				r.part("server", time.Second, nil))
			if !slices.Equal(r.ended, []string{"listener", "server", "store"}) {
				t.Errorf("a part stops %s: ended %v", name, r.ended)
			}
			if !errors.Is(err, full) || stops != nil && !errors.Is(err, stops) {
				t.Errorf("a part stops %s: error %v", name, err)
			}
		})
	}
}

func TestPartRunsUntilLaterPartsHaveStopped(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	cancel()
	first := make(chan context.Context, 1)
	err := Run(ctx,
		func(ctx context.Context) error {
			first <- ctx
			<-ctx.Done()
			return nil
		},
		func(ctx context.Context) error {
			<-ctx.Done()
			below := <-first
			if below.Err() != nil || below.Value(key{}) != "value" {
				t.Errorf("the earlier part has the context %v", below)
			}
			return nil
		})
	if err != nil {
		t.Errorf("error %v", err)
	}
}
