package throttle

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/keytrail/keytrail/internal/httpstatus"
)

// HTTP limits the requests of next. Each of its successful answers must be to a caller who has said who it is: nothing
// that is open belongs behind it. refused answers the others; how long they have to wait is in Retry-After.
func (l *Limiter) HTTP(next, refused http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := netip.ParseAddrPort(r.RemoteAddr) // net/http writes it
		a := l.attempt(from.Addr(), r.Header.Get("Authorization"))
		if wait := l.wait(a); wait > 0 {
			w.Header().Set("Retry-After", seconds(wait))
			refused.ServeHTTP(w, r)
			return
		}
		answer := &httpstatus.Writer{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		// Other errors may come from before anyone has looked at the credential.
		switch status := answer.Status(); {
		case status == http.StatusUnauthorized:
			l.failedOnce(a)
		case status >= 200 && status < 300:
			l.succeeded(a)
		}
	})
}

// Known tells whether the credential of a request was good in an earlier one.
func (l *Limiter) Known(r *http.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, good := l.good.get(l.hash(r.Header.Get("Authorization")))
	return good
}

// seconds rounds up: who comes back too early is refused again.
func seconds(wait time.Duration) string {
	return strconv.Itoa(int((wait + time.Second - 1) / time.Second))
}
