package grpcserver

import (
	"sync"
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
		p := newPace()
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
		p := newPace()
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
