package grpcserver

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	// refusalsPerSecond is how many calls a second are refused, or need no token, without waiting. Such a call costs about 50 to
	// 150 µs of CPU time: more of them would slow down the other callers.
	refusalsPerSecond, refusalsBurst = 2500, 250
	// maxPause is how long one waits at most, so that a health check passes, however many connections send such calls. It is also
	// short because the other calls of the connection, and its pings, wait meanwhile. So more than refusalsPerSecond × maxPause
	// connections exceed the rate, by ten calls a second each.
	maxPause = 100 * time.Millisecond
)

// pace slows down connections whose calls are refused. It is safe for concurrent use.
type pace struct {
	limiter *rate.Limiter
	// refusing is set by a refused call. Without one, no call waits.
	refusing atomic.Bool
	// stopping ends when the server stops.
	stopping context.Context
}

func newPace(stopping context.Context) *pace {
	return &pace{limiter: rate.NewLimiter(refusalsPerSecond, refusalsBurst), stopping: stopping}
}

// refused counts a refused call that did not wait.
func (p *pace) refused() {
	p.refusing.Store(true)
	p.limiter.Allow()
}

// wait runs in the goroutine that reads from a connection, before a call begins: the connection waits, whatever the deadline of the
// call. It also lets the calls that have begun run first. The reader would otherwise begin hundreds of calls before the first of
// them is refused, and keep what they send.
//
// grpc-go (1.85) holds the lock of the connection meanwhile: its calls cannot end, and the server cannot close it. So the pause
// is short, and ends when the server stops: GracefulStop takes these locks one after the other.
func (p *pace) wait() {
	reserved := p.limiter.Reserve()
	delay := reserved.Delay()
	if delay > maxPause {
		reserved.Cancel() // do not let the debt grow
		delay = maxPause
	}
	if delay == 0 {
		p.relax()
		runtime.Gosched()
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.stopping.Done():
	}
}

// relax ends the waiting if few calls are refused.
func (p *pace) relax() {
	if p.limiter.Tokens() >= refusalsBurst-1 {
		p.refusing.Store(false)
	}
}
