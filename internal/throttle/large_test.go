package throttle

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestFewLargeBodiesOfStrangersAreReadAtATime has a handler that does not end while the test goes on.
func TestFewLargeBodiesOfStrangersAreReadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, let := New(), make(chan struct{})
		var entered atomic.Int64
		busy := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
		handler := l.Large(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered.Add(1)
			<-let
		}), busy)
		send := func(credential string, length int64) <-chan int {
			answered := make(chan int, 1)
			go func() {
				r := httptest.NewRequest("POST", "/", strings.NewReader(""))
				r.ContentLength = length
				r.Header.Set("Authorization", credential)
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, r)
				answered <- answer.Code
			}()
			synctest.Wait()
			return answered
		}
		for range maxLarge {
			send(bad, modest+1)
		}
		began, late := time.Now(), send(bad, -1)
		if code := <-late; code != http.StatusTooManyRequests || time.Since(began) != largeWait || l.Refused() != 1 {
			t.Errorf("one too many: %d after %v, %d refused", code, time.Since(began), l.Refused())
		}
		// Who is known, and what is small, comes in at once; so does the next one when a turn has ended.
		l.succeeded(attempt{credential: l.hash(good)})
		passed := []<-chan int{send(good, modest+1), send(bad, modest), send("", 0)}
		waiting := send(bad, modest+1)
		if got := entered.Load(); got != maxLarge+3 {
			t.Errorf("%d requests are being read, want %d", got, maxLarge+3)
		}
		close(let)
		for i, answered := range append(passed, waiting) {
			if code := <-answered; code != http.StatusOK {
				t.Errorf("request %d: %d", i, code)
			}
		}
	})
}
