package throttle

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

const (
	bad  = "Bearer bad"
	good = "Bearer good"
)

// fail fails until the address is refused, and answers how often it could.
func fail(l *Limiter, from, credential string) (times int) {
	for l.wait(l.attempt(netip.MustParseAddr(from), credential)) == 0 {
		l.failedOnce(l.attempt(netip.MustParseAddr(from), credential))
		times++
	}
	return times
}

func (l *Limiter) waitOf(from, credential string) time.Duration {
	return l.wait(l.attempt(netip.MustParseAddr(from), credential))
}

func TestAnAddressFailsSoOftenAndNoMore(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		l := New()
		if times := fail(l, "192.0.2.1", bad); times != Burst {
			t.Errorf("it failed %d times at once, want %d", times, Burst)
		}
		wait := l.waitOf("192.0.2.1", bad)
		if wait <= 0 || wait > time.Second/PerSecond {
			t.Errorf("it waits %v", wait)
		}
		<-time.After(wait)
		if times := fail(l, "192.0.2.1", bad); times != 1 {
			t.Errorf("after %v it failed %d times", wait, times)
		}
		<-time.After(time.Minute)
		if times := fail(l, "192.0.2.1", bad); times != Burst {
			t.Errorf("after a minute it failed %d times, want %d", times, Burst)
		}
	})
}

func TestOtherAddressesAreLeftInPeace(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		l := New()
		fail(l, "192.0.2.1", bad)
		fail(l, "2001:db8:0:1::1", bad)
		for from, refused := range map[string]bool{
			"192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.2.2": false,
			"2001:db8:0:1:ffff::1": true, "2001:db8:0:1::1%eth0": true, "2001:db8:0:2::1": false,
		} {
			if wait := l.waitOf(from, bad); wait > 0 != refused {
				t.Errorf("%s waits %v", from, wait)
			}
		}
	})
}

func TestGoodCredentialsComeInFromARefusedAddress(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		l := New()
		l.succeeded(l.attempt(netip.MustParseAddr("192.0.2.9"), good))
		l.succeeded(l.attempt(netip.MustParseAddr("192.0.2.9"), ""))
		fail(l, "192.0.2.1", bad)
		if wait := l.waitOf("192.0.2.1", good); wait != 0 {
			t.Errorf("a good credential waits %v", wait)
		}
		if l.waitOf("192.0.2.1", "") == 0 {
			t.Error("no credential is a good one")
		}
		l.failedOnce(l.attempt(netip.MustParseAddr("192.0.2.1"), good)) // it has expired
		if l.waitOf("192.0.2.1", good) == 0 {
			t.Error("a credential that failed is still a good one")
		}
	})
}

func TestSuccessesDoNotCount(t *testing.T) {
	l := New()
	from := netip.MustParseAddr("192.0.2.1")
	for i := range 2 * Burst {
		a := l.attempt(from, fmt.Sprint(i))
		if l.wait(a) > 0 {
			t.Fatalf("refused after %d successes", i)
		}
		l.succeeded(a)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	l := New()
	addr := netip.MustParseAddr("10.0.0.0")
	for i := range 3 * remembered {
		addr = addr.Next()
		l.failedOnce(l.attempt(addr, ""))
		l.succeeded(l.attempt(addr, fmt.Sprint(i)))
	}
	if n := len(l.failed.young) + len(l.failed.old); n < remembered || n > 2*remembered {
		t.Errorf("%d addresses are remembered", n)
	}
	if n := len(l.good.young) + len(l.good.old); n < remembered || n > 2*remembered {
		t.Errorf("%d credentials are remembered", n)
	}
}

func TestWhoeverGoesOnFailingIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		l := New()
		fail(l, "192.0.2.1", bad)
		addr := netip.MustParseAddr("10.0.0.0")
		for i := range 3 * remembered {
			if addr = addr.Next(); i%remembered == 0 {
				l.failedOnce(l.attempt(netip.MustParseAddr("192.0.2.1"), bad))
			}
			l.failedOnce(l.attempt(addr, ""))
		}
		if l.waitOf("192.0.2.1", bad) == 0 {
			t.Error("it may try again")
		}
	})
}

func TestRefusedAttemptsAreCounted(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		l := New()
		fail(l, "192.0.2.1", bad) // to the first refusal
		l.waitOf("192.0.2.1", bad)
		l.waitOf("192.0.2.2", bad)
		if refused := l.Refused(); refused != 2 {
			t.Errorf("%d were refused, want 2", refused)
		}
	})
}
