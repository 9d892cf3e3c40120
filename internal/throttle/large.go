package throttle

import (
	"net/http"
	"time"
)

const (
	// modest is the most bytes of a body that anybody may send. What a call of one thing needs fits well.
	modest = 64 << 10
	// maxLarge is how many larger ones of strangers are read at a time: each costs up to some ten times its bytes.
	maxLarge = 16
	// largeWait is how long others wait for their turn.
	largeWait = 5 * time.Second
)

// Large has only a few large bodies read at a time of callers whose credentials have not been good before: a gateway takes a
// body apart before a service says what the credential is worth. It comes inside of HTTP. refused answers whoever has
// waited too long for a turn; a small request with the same credential opens the door to its large ones.
func (l *Limiter) Large(next, refused http.Handler) http.Handler {
	turns := make(chan struct{}, maxLarge)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A body whose length is not told is -1.
		if r.ContentLength >= 0 && r.ContentLength <= modest || l.known(r.Header.Get("Authorization")) {
			next.ServeHTTP(w, r)
			return
		}
		wait := time.NewTimer(largeWait)
		defer wait.Stop()
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			next.ServeHTTP(w, r)
		case <-wait.C:
			l.refused.Add(1)
			w.Header().Set("Retry-After", seconds(largeWait))
			refused.ServeHTTP(w, r)
		}
	})
}

// known tells whether a credential has been good.
func (l *Limiter) known(credential string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, good := l.good.get(l.hash(credential))
	return good
}
