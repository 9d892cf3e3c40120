package serve

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// diary keeps who ended, in order.
type diary struct {
	mu    sync.Mutex
	ended []string
}

// part works until its context ends, and takes a while to wind up.
func (d *diary) part(name string, windUp time.Duration, err error) Run {
	return func(ctx context.Context) error {
		<-ctx.Done()
		<-time.After(windUp)
		return d.end(name, err)
	}
}

func (d *diary) end(name string, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = append(d.ended, name)
	return err
}

func TestPartsEndOneAfterTheOtherTheLastFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		// The first are quicker to end: were they told at once, they would be first.
		err := InOrder(ctx, d.part("store", 0, nil), d.part("queue", time.Second, nil), d.part("server", time.Hour, nil))
		if err != nil || !slices.Equal(d.ended, []string{"server", "queue", "store"}) {
			t.Errorf("ended %v, error %v", d.ended, err)
		}
		if took := time.Since(began); took != time.Minute+time.Hour+time.Second {
			t.Errorf("it took %v: the parts did not wait for each other", took)
		}
	})
}

func TestPartThatStopsEndsTheOthersAndEveryErrorIsAnswered(t *testing.T) {
	away, full := errors.New("away"), errors.New("full")
	for name, stops := range map[string]error{"with an error": away, "without one": nil} {
		synctest.Test(t, func(t *testing.T) {
			d := &diary{}
			err := InOrder(t.Context(),
				d.part("store", 0, full),
				func(context.Context) error { return d.end("listener", stops) },
				d.part("server", time.Second, nil))
			if !slices.Equal(d.ended, []string{"listener", "server", "store"}) {
				t.Errorf("a part stops %s: ended %v", name, d.ended)
			}
			if !errors.Is(err, full) || stops != nil && !errors.Is(err, stops) {
				t.Errorf("a part stops %s: error %v", name, err)
			}
		})
	}
}

func TestPartIsNotToldToEndWhileAnotherLeansOnIt(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	cancel()
	first := make(chan context.Context, 1)
	err := InOrder(ctx,
		func(ctx context.Context) error {
			first <- ctx
			<-ctx.Done()
			return nil
		},
		func(ctx context.Context) error {
			<-ctx.Done()
			below := <-first
			if below.Err() != nil || below.Value(key{}) != "value" {
				t.Errorf("what it leans on has the context %v", below)
			}
			return nil
		})
	if err != nil {
		t.Errorf("error %v", err)
	}
}
