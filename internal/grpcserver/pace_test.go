package grpcserver

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/internal/access"
)

func TestRefusedCallsWaitAboveARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(t.Context())
		began := time.Now()
		expect := func(what string, calls int, want time.Duration) {
			t.Helper()
			for range calls {
				p.wait()
			}
			if took := time.Since(began); took.Round(time.Millisecond) != want {
				t.Errorf("%s: after %v, want %v", what, took, want)
			}
		}
		expect("the burst", refusalsBurst, 0)
		expect("a tenth of a second of them", refusalsPerSecond/10, 100*time.Millisecond)
	})
}

// TestNoCallWaitsLong: a health check must pass, however many connections send bad tokens.
func TestNoCallWaitsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(t.Context())
		began := time.Now()
		var waiting sync.WaitGroup
		for range 4 * refusalsBurst {
			waiting.Go(func() { p.wait() })
		}
		waiting.Wait()
		if took := time.Since(began); took != maxPause {
			t.Errorf("the last of many waited %v", took)
		}
	})
}

// TestManyConnectionsExceedTheRate: each connection may make ten refused calls a second, because none waits longer than maxPause.
func TestManyConnectionsExceedTheRate(t *testing.T) {
	const connections = 1000
	synctest.Test(t, func(t *testing.T) {
		p := newPace(t.Context())
		end := time.Now().Add(10 * time.Second)
		var calls atomic.Int64
		var calling sync.WaitGroup
		for range connections {
			calling.Go(func() {
				for p.wait(); time.Now().Before(end); p.wait() {
					calls.Add(1)
				}
			})
		}
		calling.Wait()
		const perSecond = connections * int64(time.Second/maxPause)
		if n := calls.Load() / 10; n < perSecond*9/10 || n > perSecond*11/10 {
			t.Errorf("%d refused calls a second of %d connections, want about %d", n, connections, perSecond)
		}
	})
}

// TestStopEndsThePauses: a paused connection holds a lock that the server needs to stop.
func TestStopEndsThePauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		p := newPace(stopping)
		var waiting sync.WaitGroup
		for range 4 * refusalsBurst {
			waiting.Go(p.wait)
		}
		synctest.Wait()
		began := time.Now()
		stop()
		waiting.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("pauses ended %v after the server began to stop", took)
		}
	})
}

// TestCallsWaitOnlyWhileCallsAreRefused: without refused calls the reader of a connection must not wait.
func TestCallsWaitOnlyWhileCallsAreRefused(t *testing.T) {
	f := newFixture(t, &keys{})
	refusing := &f.server.chain.pace.refusing
	bad, err := f.dial(grpc.WithPerRPCCredentials(access.NewToken("bad")))
	must(t, err)
	defer bad.Close()
	call := func(conn *grpc.ClientConn) codes.Code {
		return status.Code(conn.Invoke(t.Context(), "/keytrail.auth.v1.KeyService/GetCatalog", validRequest, validRequest))
	}
	if code := call(f.conn); code != codes.Unimplemented || refusing.Load() {
		t.Errorf("an accepted call: %v; calls wait: %v", code, refusing.Load())
	}
	if code := call(bad); code != codes.Unauthenticated || !refusing.Load() {
		t.Errorf("a refused call: %v; calls wait: %v", code, refusing.Load())
	}
	if code := call(f.conn); code != codes.Unimplemented || refusing.Load() {
		t.Errorf("an accepted call after it: %v; calls wait: %v", code, refusing.Load())
	}
}
