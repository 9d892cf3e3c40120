// Package throttle limits how often an address may fail to say who it is. It looks at answers alone: a call that is
// answered UNAUTHENTICATED (HTTP 401) is a failure, and an address with too many of them is refused before anyone
// looks at what it sends. Denied API keys are no failures: a denial is an answer.
package throttle

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// PerSecond is how many failures an address has in the long run, and Burst how many at once: those of a minute.
	PerSecond = 10
	Burst     = 60 * PerSecond
	// remembered is how many addresses, and how many credentials, are remembered at the least, and half of how many
	// at the most: at about 100 bytes each, a few megabytes.
	remembered = 16 << 10
)

// Limiter knows the addresses that failed, and the credentials that were good: those come in from every address.
// Behind a proxy many callers share one, and one of them with an expired token must not lock the others out. Both
// are forgotten, the oldest first, where there are too many. It may be used concurrently.
type Limiter struct {
	seed    maphash.Seed
	refused atomic.Int64

	mu     sync.Mutex
	failed recent[netip.Prefix, *rate.Limiter]
	good   recent[uint64, struct{}]
}

// New makes a limiter.
func New() *Limiter { return &Limiter{seed: maphash.MakeSeed()} }

// Refused is how many attempts were refused.
func (l *Limiter) Refused() int64 { return l.refused.Load() }

// attempt is one call: from where, and by what it says who it is; an empty credential says nothing.
type attempt struct {
	from       netip.Prefix
	credential uint64
}

// attempt makes an attempt. An address of IPv6 stands for its /64: that is what one customer has.
func (l *Limiter) attempt(from netip.Addr, credential string) attempt {
	from, bits := from.Unmap().WithZone(""), 32
	if from.Is6() {
		bits = 64
	}
	prefix, _ := from.Prefix(bits) // an address that is none has the prefix that is none
	return attempt{from: prefix, credential: l.hash(credential)}
}

// hash names a credential, in this process alone: nobody can find another one with the same hash. That of none is zero.
func (l *Limiter) hash(credential string) uint64 {
	if credential == "" {
		return 0
	}
	return maphash.String(l.seed, credential) | 1
}

// wait is how long the caller has to wait before it may try; 0 = not at all. Who has to wait is counted as refused.
func (l *Limiter) wait(a attempt) time.Duration {
	wait := l.waitTime(a)
	if wait > 0 {
		l.refused.Add(1)
	}
	return wait
}

func (l *Limiter) waitTime(a attempt) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	failures, known := l.failed.get(a.from)
	if !known {
		return 0
	}
	tokens := failures.Tokens()
	if tokens >= 1 {
		return 0
	}
	if _, good := l.good.get(a.credential); good {
		return 0
	}
	return time.Duration((1 - tokens) / PerSecond * float64(time.Second))
}

// succeeded notes that the credential is good.
func (l *Limiter) succeeded(a attempt) {
	if a.credential == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good.put(a.credential, struct{}{})
}

// failedOnce counts a failure of the address. A credential that was good is so no longer: it has expired.
func (l *Limiter) failedOnce(a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good.drop(a.credential)
	failures, known := l.failed.get(a.from)
	if !known {
		failures = rate.NewLimiter(PerSecond, Burst)
	}
	l.failed.put(a.from, failures)
	failures.Allow()
}
