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
)

// load is a numbered load of checks and reports. Its calls, and what becomes of them, follow from the seed.
type load struct {
	checks  authv1.CheckServiceClient
	kinds   []kind
	clients int
	// every is the pace of each client.
	every time.Duration
	seed  uint64
	// reports says to report calls too, allowed and denied ones.
	reports bool
	// same tells that a second report of a call says what the first one did: of two that differ and reach two auth
	// services, the one that is shipped first counts.
	same bool
	// suffix makes the endpoints longer.
	suffix string
	// sent and answered count checks.
	sent, answered atomic.Int64
}

// start lets the load run until stop is called, which answers all that happened. The load ends too, and with it
// working, at the first answer that no crash explains.
func (l *load) start(t *testing.T) (working context.Context, stop func() (ledger, error)) {
	running, end := context.WithCancel(t.Context())
	group, working := errgroup.WithContext(t.Context())
	ledgers := make([]ledger, l.clients)
	for i := range l.clients {
		group.Go(func() error {
			c := client{load: l, random: rand.New(rand.NewPCG(l.seed, uint64(i)))}
			err := c.work(running, working)
			ledgers[i] = c.calls
			return err
		})
	}
	return working, func() (ledger, error) {
		end()
		err := group.Wait()
		return slices.Concat(ledgers...), err
	}
}

// client is one of the load's clients.
type client struct {
	load   *load
	random *rand.Rand
	calls  ledger
	later  []promise
}

// promise is a report to be sent later.
type promise struct {
	call    *call
	outcome *authv1.Outcome
	// due is how many calls the client makes before.
	due int
}

// work makes calls until running ends, and then the reports that are left.
func (c *client) work(running, working context.Context) error {
	tick := time.NewTicker(c.load.every)
	defer tick.Stop()
	for running.Err() == nil && working.Err() == nil {
		if err := c.once(working); err != nil {
			return err
		}
		if err := c.keepPromises(working, len(c.calls)); err != nil {
			return err
		}
		<-tick.C
	}
	return c.keepPromises(working, len(c.calls)+longestLater)
}

// once makes one call.
func (c *client) once(ctx context.Context) error {
	made := &call{number: int(c.load.sent.Add(1)), kind: c.pick()}
	c.calls = append(c.calls, made)
	if err := c.load.check(ctx, made); err != nil {
		return err
	}
	if made.checked == nil || made.checked.token == "" || !c.load.reports {
		return nil
	}
	return c.decide(ctx, made)
}

// pick draws the kind of the next call.
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
	panic("the weights do not add up")
}

// longestLater is the most calls that a client makes between a check and its report.
const longestLater = 60

// decide reports a call at once, or later, or twice, or never.
func (c *client) decide(ctx context.Context, made *call) error {
	outcome := made.checked.outcome([]int32{200, 201, 404, 500}[c.random.IntN(4)], float64(c.random.IntN(1e6))/1000)
	due := len(c.calls) + 1 + c.random.IntN(longestLater)
	switch c.random.IntN(4) {
	case 0: // never
		return nil
	case 1:
		c.later = append(c.later, promise{made, outcome, due})
		return nil
	case 2:
		// The second report says something else: it must change nothing.
		second := proto.CloneOf(outcome)
		if !c.load.same {
			second.Status, second.LatencyMs = 599, new(float64(86_400_000))
		}
		c.later = append(c.later, promise{made, second, due})
	}
	return c.report(ctx, promise{made, outcome, 0})
}

// keepPromises sends the reports that are due before this many calls, all at once.
func (c *client) keepPromises(ctx context.Context, calls int) error {
	var now, later []promise
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

// report reports until it is acknowledged.
func (c *client) report(ctx context.Context, promises ...promise) error {
	request := &authv1.ReportRequest{}
	for _, p := range promises {
		request.Outcomes = append(request.Outcomes, p.outcome)
		if p.call.outcome == nil {
			p.call.outcome = p.outcome
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	for {
		_, err := c.load.checks.Report(ctx, request, grpc.WaitForReady(true))
		switch {
		case err == nil:
			for _, p := range promises {
				p.call.acknowledged = true
			}
			return nil
		case status.Code(err) != codes.Unavailable:
			return fmt.Errorf("report %d calls, the first is %d: %w", len(promises), promises[0].call.number, err)
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// check checks a call once. A connection that dies leaves it without an answer; everything else that is not the
// right answer is an error.
func (l *load) check(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request := proto.CloneOf(c.kind.call)
	request.Endpoint = c.endpoint(l.suffix)
	c.began = time.Now()
	answer, err := l.checks.Check(ctx, request, grpc.WaitForReady(true))
	c.took = time.Since(c.began)
	switch {
	case status.Code(err) == codes.Unavailable:
		return nil
	case err != nil:
		return fmt.Errorf("check %d: %w", c.number, err)
	case answer.GetDenial().GetCode() != c.kind.code:
		return fmt.Errorf("check %d was answered %v, want %q in %s", c.number, answer, c.kind.code, c.kind.workspace)
	}
	done := checkedOf(request, c.kind.workspace, answer)
	c.checked = &done
	l.answered.Add(1)
	return nil
}
