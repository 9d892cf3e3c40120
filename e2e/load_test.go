package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// load makes numbered checks and reports. The seed determines the calls and what is reported.
type load struct {
	checks  authv1.CheckServiceClient
	kinds   []kind
	clients int
	// every is the interval between the calls of a client.
	every time.Duration
	seed  uint64
	// reports enables reports of allowed and denied calls.
	reports bool
	// same makes a second report of a call equal to the first. If two reports differ and reach two auth services, the
	// one that is shipped first wins.
	same bool
	// retries makes every other check send a call id, and repeat a check that returned UNAVAILABLE.
	retries bool
	// suffix is appended to every endpoint.
	suffix string
	// sent and answered count checks.
	sent, answered atomic.Int64
}

// start runs the load until stop is called, which returns its history. The load and working also end at the first error
// that no crash explains.
func (l *load) start(t *testing.T) (working context.Context, stop func() (history, error)) {
	running, end := context.WithCancel(t.Context())
	group, working := errgroup.WithContext(t.Context())
	histories := make([]history, l.clients)
	for i := range l.clients {
		group.Go(func() error {
			c := client{load: l, random: rand.New(rand.NewPCG(l.seed, uint64(i)))}
			err := c.work(running, working)
			histories[i] = c.calls
			return err
		})
	}
	return working, func() (history, error) {
		end()
		err := group.Wait()
		return slices.Concat(histories...), err
	}
}

// client is one of the load's clients.
type client struct {
	load   *load
	random *rand.Rand
	calls  history
	later  []pendingReport
}

// pendingReport is a report to be sent later.
type pendingReport struct {
	call    *call
	outcome *authv1.Outcome
	// due is the number of calls after which it is sent.
	due int
}

// work makes calls until running ends, then sends the remaining reports.
func (c *client) work(running, working context.Context) error {
	tick := time.NewTicker(c.load.every)
	defer tick.Stop()
	for running.Err() == nil && working.Err() == nil {
		if err := c.once(working); err != nil {
			return err
		}
		if err := c.sendDueReports(working, len(c.calls)); err != nil {
			return err
		}
		<-tick.C
	}
	return c.sendDueReports(working, len(c.calls)+maxReportDelay)
}

func (c *client) once(ctx context.Context) error {
	sent := &call{number: int(c.load.sent.Add(1)), kind: c.pick()}
	c.calls = append(c.calls, sent)
	if err := c.load.check(ctx, sent); err != nil {
		return err
	}
	if sent.checked == nil || sent.checked.token == "" || !c.load.reports {
		return nil
	}
	return c.decide(ctx, sent)
}

// pick draws the kind of the next call by weight.
func (c *client) pick() kind {
	weights := 0
	for _, k := range c.load.kinds {
		weights += k.weight
	}
	at := c.random.IntN(weights)
	for _, k := range c.load.kinds {
		if at -= k.weight; at < 0 {
			return k
		}
	}
	panic("weights do not add up")
}

// maxReportDelay is the maximum number of calls between a check and its report.
const maxReportDelay = 60

// decide reports a call at once, later, twice or never.
func (c *client) decide(ctx context.Context, sent *call) error {
	outcome := sent.checked.outcome([]int32{200, 201, 404, 500}[c.random.IntN(4)], float64(c.random.IntN(1e6))/1000)
	due := len(c.calls) + 1 + c.random.IntN(maxReportDelay)
	switch c.random.IntN(4) {
	case 0:
		return nil
	case 1:
		c.later = append(c.later, pendingReport{sent, outcome, due})
		return nil
	case 2:
		// The second report differs. It must have no effect.
		second := proto.CloneOf(outcome)
		if !c.load.same {
			second.Status, second.LatencyMs = 599, new(float64(86_400_000))
		}
		c.later = append(c.later, pendingReport{sent, second, due})
	}
	return c.report(ctx, pendingReport{sent, outcome, 0})
}

// sendDueReports sends all reports that are due after this many calls, in one request.
func (c *client) sendDueReports(ctx context.Context, calls int) error {
	var now, later []pendingReport
	for _, p := range c.later {
		if p.due <= calls {
			now = append(now, p)
		} else {
			later = append(later, p)
		}
	}
	c.later = later
	if len(now) == 0 {
		return nil
	}
	return c.report(ctx, now...)
}

// report retries until the reports are acknowledged.
func (c *client) report(ctx context.Context, reports ...pendingReport) error {
	request := &authv1.ReportRequest{}
	for _, p := range reports {
		request.Outcomes = append(request.Outcomes, p.outcome)
		if p.call.outcome == nil {
			p.call.outcome = p.outcome
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*waitTimeout)
	defer cancel()
	for {
		_, err := c.load.checks.Report(ctx, request, grpc.WaitForReady(true))
		switch {
		case err == nil:
			for _, p := range reports {
				p.call.acknowledged = true
			}
			return nil
		case status.Code(err) != codes.Unavailable:
			return fmt.Errorf("report %d calls, the first is %d: %w", len(reports), reports[0].call.number, err)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// maxRetries is how often a check is repeated.
const maxRetries = 4

// ask sends a check, with retries if the load has them.
func (l *load) ask(ctx context.Context, c *call, request *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	retries := 0
	if l.retries && c.number%2 == 0 {
		request.CallId, retries = uuid7.New(time.Now()).String(), maxRetries
	}
	for {
		answer, err := l.checks.Check(ctx, request, grpc.WaitForReady(true))
		if status.Code(err) != codes.Unavailable || retries == 0 {
			return answer, err
		}
		retries--
		pause(ctx, 20*time.Millisecond)
	}
}

// check checks a call. UNAVAILABLE leaves it without a response; any other unexpected result is an error.
func (l *load) check(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	request := proto.CloneOf(c.kind.call)
	request.Endpoint = c.endpoint(l.suffix)
	c.began = time.Now()
	answer, err := l.ask(ctx, c, request)
	c.took = time.Since(c.began)
	switch {
	case status.Code(err) == codes.Unavailable:
		return nil
	case err != nil:
		return fmt.Errorf("check %d: %w", c.number, err)
	case answer.GetDenial().GetCode() != c.kind.code:
		return fmt.Errorf("check %d returned %v, want %q in %s", c.number, answer, c.kind.code, c.kind.workspace)
	}
	done := checkedOf(request, c.kind.workspace, answer)
	c.checked = &done
	l.answered.Add(1)
	return nil
}
