package client

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

const (
	// maxBatch is the most outcomes of a Report.
	maxBatch = 1000
	// maxWaiting is the most outcomes that wait: some 40 MB, and half a minute of 2,000 calls a second whose checks are accepted and
	// whose reports are not. Those of later calls are dropped.
	maxWaiting = 1 << 16
	// reportInterval is how long outcomes are collected.
	reportInterval = 200 * time.Millisecond
	reportTimeout  = 5 * time.Second
	// The delay between two attempts doubles, up to a maximum; while the client is being closed, to a lower one.
	firstDelay, maxDelay, maxCloseDelay = 100 * time.Millisecond, 5 * time.Second, 200 * time.Millisecond
)

// The limits of an outcome in the contract.
const (
	minStatus, maxStatus = 100, 599
	maxLatency           = 24 * time.Hour
)

type outcome struct {
	token   string
	status  int
	latency time.Duration
}

func (o outcome) message() *authv1.Outcome {
	ms := float64(min(o.latency, maxLatency)) / float64(time.Millisecond)
	return &authv1.Outcome{ReportToken: o.token, Status: int32(min(max(o.status, minStatus), maxStatus)), LatencyMs: &ms}
}

// reporter sends outcomes in batches, in the order in which they were added, from one goroutine that close waits for. A batch is
// repeated until it is accepted: of several reports of a call the first counts. It is safe for concurrent use.
type reporter struct {
	checks   authv1.CheckServiceClient
	counters *counters
	warnings *warnings

	mu      sync.Mutex
	waiting []outcome
	closed  bool

	// first has a value when there is something to send again, and full when it fills a batch. Either may be out of date.
	first, full chan struct{}
	// closing is closed by close, and done when everything was sent or abort was called.
	closing, done chan struct{}
	abort         context.CancelFunc
}

func startReporter(checks authv1.CheckServiceClient, counters *counters, warnings *warnings) *reporter {
	ctx, abort := context.WithCancel(context.Background())
	r := &reporter{
		checks: checks, counters: counters, warnings: warnings, first: make(chan struct{}, 1), full: make(chan struct{}, 1),
		closing: make(chan struct{}), done: make(chan struct{}), abort: abort,
	}
	go r.run(ctx)
	return r
}

// add takes the outcome of a call. It does not block.
func (r *reporter) add(token string, status int, latency time.Duration) {
	r.mu.Lock()
	dropped := r.closed || len(r.waiting) >= maxWaiting
	if !dropped {
		r.waiting = append(r.waiting, outcome{token, status, latency})
		r.counters.reportsPending.Add(1)
	}
	waiting := len(r.waiting)
	r.mu.Unlock()
	switch {
	case dropped:
		r.counters.reportsDropped.Add(1)
		r.warnings.warn("keytrail: a call is not reported, because too many reports wait or the client is closed")
	case waiting == 1:
		notify(r.first)
	case waiting == maxBatch:
		notify(r.full)
	}
}

func notify(event chan struct{}) {
	select {
	case event <- struct{}{}:
	default:
	}
}

// close sends what waits until ctx ends. It returns how many outcomes were not sent.
func (r *reporter) close(ctx context.Context) int {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.closing)
	}
	r.mu.Unlock()
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	r.abort()
	<-r.done
	left := len(r.next())
	r.remove(left)
	r.counters.reportsDropped.Add(int64(left))
	return left
}

// run sends outcomes until the reporter is closed and nothing waits, or ctx ends.
func (r *reporter) run(ctx context.Context) {
	defer close(r.done)
	for r.await() {
		r.collect()
		batch := r.next()
		if !r.send(ctx, batch[:min(len(batch), maxBatch)]) {
			return
		}
	}
}

// await waits until there is something to send. It reports false if the reporter is closed and nothing waits.
func (r *reporter) await() bool {
	for len(r.next()) == 0 {
		select {
		case <-r.first: // it may have been sent already
		case <-r.closing:
			return len(r.next()) > 0
		}
	}
	return true
}

// collect waits until a batch is full, or for reportInterval, or until close is called.
func (r *reporter) collect() {
	timer := time.NewTimer(reportInterval)
	defer timer.Stop()
	for len(r.next()) < maxBatch {
		select {
		case <-r.full: // a part of it may have been sent already
		case <-timer.C:
			return
		case <-r.closing:
			return
		}
	}
}

// next returns what waits. Its elements do not change until remove is called.
func (r *reporter) next() []outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting
}

// remove removes the first n outcomes.
func (r *reporter) remove(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.waiting[:n])
	r.waiting = r.waiting[n:]
	r.counters.reportsPending.Add(int64(-n))
}

// send reports a batch, as often as it takes. It reports false if ctx ended before.
func (r *reporter) send(ctx context.Context, batch []outcome) bool {
	request := &authv1.ReportRequest{Outcomes: make([]*authv1.Outcome, len(batch))}
	for i, o := range batch {
		request.Outcomes[i] = o.message()
	}
	for delay := firstDelay; ; delay = min(2*delay, maxDelay) {
		refused, err := r.report(ctx, request)
		if err == nil {
			r.remove(len(batch))
			r.count(len(batch), refused)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		r.warnings.warn("keytrail: calls could not be reported; trying again", "calls", len(batch), "error", err)
		r.pause(ctx, delay)
	}
}

func (r *reporter) report(ctx context.Context, request *authv1.ReportRequest) ([]*authv1.RefusedOutcome, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	response, err := r.checks.Report(ctx, request)
	return response.GetRefused(), err
}

func (r *reporter) count(all int, refused []*authv1.RefusedOutcome) {
	r.counters.reportsSent.Add(int64(all - len(refused)))
	r.counters.reportsRefused.Add(int64(len(refused)))
	if len(refused) > 0 {
		r.warnings.warn("keytrail: reports of calls were refused", "calls", len(refused), "reason", refused[0].GetReason())
	}
}

// pause waits between half of a delay and all of it, or until ctx ends or close is called.
func (r *reporter) pause(ctx context.Context, delay time.Duration) {
	closing := r.closing
	select {
	case <-closing:
		closing, delay = nil, min(delay, maxCloseDelay)
	default:
	}
	timer := time.NewTimer(delay/2 + rand.N(delay/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-closing:
	case <-ctx.Done():
	}
}
