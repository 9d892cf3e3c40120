package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// reports is an auth service that keeps the reports that it accepts.
type reports struct {
	authv1.CheckServiceClient
	// fail returns an error for a report that is not accepted; nil = none.
	fail func(ctx context.Context, n int) error

	mu      sync.Mutex
	sent    int
	batches []int
	tokens  []string
	last    *authv1.Outcome
}

func (r *reports) Report(ctx context.Context, request *authv1.ReportRequest, _ ...grpc.CallOption,
) (*authv1.ReportResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	if r.fail != nil {
		if err := r.fail(ctx, r.sent); err != nil {
			return nil, err
		}
	}
	response := &authv1.ReportResponse{}
	for i, o := range request.GetOutcomes() {
		r.tokens, r.last = append(r.tokens, o.GetReportToken()), o
		if strings.HasPrefix(o.GetReportToken(), "bad") {
			response.Refused = append(response.Refused, &authv1.RefusedOutcome{Index: int32(i), Reason: "invalid"})
		}
	}
	r.batches = append(r.batches, len(request.GetOutcomes()))
	return response, nil
}

func newReporter(t *testing.T, auth *reports) *reporter {
	t.Helper()
	r := startReporter(auth, &counters{}, &warnings{log: slog.New(slog.DiscardHandler), last: map[string]time.Time{}})
	t.Cleanup(func() {
		r.abort()
		r.close(t.Context())
	})
	return r
}

// closed returns a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestCloseSendsEveryReportOnceInOrder(t *testing.T) {
	t.Parallel()
	auth := &reports{fail: func(_ context.Context, n int) error {
		if n%2 == 1 {
			return errors.New("x")
		}
		return nil
	}}
	r := newReporter(t, auth)
	for i := range 2500 {
		r.add(fmt.Sprint(i), 200, time.Millisecond)
	}
	r.add("bad", 200, time.Millisecond)
	if left := r.close(t.Context()); left != 0 {
		t.Errorf("%d reports are left", left)
	}
	if len(auth.tokens) != 2501 {
		t.Fatalf("%d reports were accepted", len(auth.tokens))
	}
	for i, token := range auth.tokens[:2500] {
		if token != fmt.Sprint(i) {
			t.Fatalf("report %d is that of call %s", i, token)
		}
	}
	for _, size := range auth.batches {
		if size > maxBatch {
			t.Errorf("a batch has %d outcomes", size)
		}
	}
	n := r.counters
	if n.reportsSent.Load() != 2500 || n.reportsRefused.Load() != 1 || n.reportsDropped.Load()+n.reportsPending.Load() != 0 {
		t.Errorf("counts %+v", n)
	}
}

func TestReportsAreSentWithoutClose(t *testing.T) {
	t.Parallel()
	accepted := make(chan struct{}, 10)
	r := newReporter(t, &reports{fail: func(context.Context, int) error { accepted <- struct{}{}; return nil }})
	for range 3 {
		r.add("x", 200, time.Millisecond)
		<-accepted
	}
}

// TestReportsAreCollectedAfterEachReport: a call ends during each report.
func TestReportsAreCollectedAfterEachReport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r *reporter
		last := make(chan struct{})
		r = newReporter(t, &reports{fail: func(_ context.Context, n int) error {
			switch {
			case n < 5:
				r.add("x", 200, time.Millisecond)
			case n == 5:
				close(last)
			}
			return nil
		}})
		began := time.Now()
		r.add("x", 200, time.Millisecond)
		<-last
		if took := time.Since(began); took != 5*reportInterval {
			t.Errorf("5 reports in %v", took)
		}
	})
}

func TestCloseGivesUpWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	trying := make(chan struct{}, 1)
	r := newReporter(t, &reports{fail: func(ctx context.Context, _ int) error {
		notify(trying)
		<-ctx.Done()
		return ctx.Err()
	}})
	for range 3 {
		r.add("x", 200, time.Millisecond)
	}
	<-trying
	if left := r.close(ended()); left != 3 {
		t.Errorf("%d reports are left, want 3", left)
	}
	r.add("late", 200, time.Millisecond)
	if left := r.close(ended()); left != 0 {
		t.Errorf("%d reports are left after the second close", left)
	}
	if n := r.counters; n.reportsDropped.Load() != 4 || n.reportsPending.Load() != 0 {
		t.Errorf("counts %+v", n)
	}
}

func TestReportsAboveTheLimitAreDropped(t *testing.T) {
	t.Parallel()
	auth := &reports{fail: func(context.Context, int) error { return errors.New("x") }}
	r := newReporter(t, auth)
	for range maxWaiting + 5 {
		r.add("x", 200, time.Millisecond)
	}
	if n := r.counters; n.reportsDropped.Load() != 5 || n.reportsPending.Load() != maxWaiting {
		t.Errorf("counts %+v", n)
	}
}

// TestOutcomesAreInTheRangeOfTheContract: one that is not would make the auth service refuse its whole batch.
func TestOutcomesAreInTheRangeOfTheContract(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int32{0: 100, 100: 100, 200: 200, 599: 599, 999: 599} {
		if got := (outcome{"x", status, time.Hour}).message(); got.GetStatus() != want || got.GetLatencyMs() != 3.6e6 {
			t.Errorf("status %d: %v", status, got)
		}
	}
	if got := (outcome{"x", 200, 25 * time.Hour}).message(); got.GetLatencyMs() != 8.64e7 {
		t.Errorf("25 hours: %v", got)
	}
}
