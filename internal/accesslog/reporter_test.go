package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// service is an auth service. It fails as often as failures says, and refuses the tokens that begin with "bad".
type service struct {
	authv1.CheckServiceClient
	failures int
	failure  error
	calls    int
	reported []string
}

func (s *service) Report(_ context.Context, in *authv1.ReportRequest, _ ...grpc.CallOption) (*authv1.ReportResponse, error) {
	s.calls++
	if s.calls <= s.failures {
		return nil, s.failure
	}
	response := &authv1.ReportResponse{}
	for i, outcome := range in.GetOutcomes() {
		if strings.HasPrefix(outcome.GetReportToken(), "bad") {
			response.Refused = append(response.Refused, &authv1.RefusedOutcome{Index: int32(i), Reason: "expired"})
			continue
		}
		s.reported = append(s.reported, outcome.GetReportToken())
	}
	return response, nil
}

// batches is a source. After the last batch it waits for the end.
type batches struct {
	outcomes  [][]*authv1.Outcome
	committed int
}

func batch(tokens ...string) (outcomes []*authv1.Outcome) {
	for _, token := range tokens {
		outcomes = append(outcomes, &authv1.Outcome{ReportToken: token, Status: 200, LatencyMs: new(1.5)})
	}
	return outcomes
}

func (b *batches) Read(ctx context.Context) ([]*authv1.Outcome, error) {
	if b.committed < len(b.outcomes) && ctx.Err() == nil {
		return b.outcomes[b.committed], nil
	}
	wait(ctx, maxWait)
	return nil, nil
}

func (b *batches) Commit() error { b.committed = min(b.committed+1, len(b.outcomes)); return nil }
func (b *batches) Close() error  { return nil }

// run reports for some time, and returns what was logged.
func run(t *testing.T, checks *service, source Source, d time.Duration) (logged string, took time.Duration, err error) {
	t.Helper()
	var printed bytes.Buffer
	log := slog.New(slog.NewTextHandler(&printed, nil))
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	began := time.Now()
	explain := func(err error) string { return "explained: " + status.Convert(err).Message() }
	err = NewReporter(checks, NewLineReader(Nginx, log), log, explain).Run(ctx, source)
	return printed.String(), time.Since(began), err
}

func TestRefusedReportsAreCountedByReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks, source := &service{}, &batches{outcomes: [][]*authv1.Outcome{batch("a", "bad-1", "b"), batch("bad-2"), batch("c")}}
		logged, _, err := run(t, checks, source, 150*time.Second)
		if err != nil || fmt.Sprint(checks.reported) != "[a b c]" || source.committed != 3 {
			t.Errorf("reported %v, committed %d, %v", checks.reported, source.committed, err)
		}
		if strings.Contains(logged, "bad") || strings.Count(logged, "a report was refused") != 1 {
			t.Errorf("logged:\n%s", logged)
		}
		// After a minute, and at the end.
		if n := strings.Count(logged, "reported=3 without_token=0 malformed=0 dropped=0 refused_expired=2"); n != 2 {
			t.Errorf("%d summaries in\n%s", n, logged)
		}
	})
}

// A log in another format may have no report tokens, and no malformed lines.
func TestASummaryIsLoggedAfterAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logged, _, err := run(t, &service{}, &batches{}, 150*time.Second)
		if n := strings.Count(logged, "reported=0 without_token=0"); err != nil || n != 2 {
			t.Errorf("%d summaries, want one after a minute and one at the end: %v\n%s", n, err, logged)
		}
	})
}

func TestReportsAreRepeatedUntilTheySucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := &service{failures: 300, failure: status.Error(codes.Unavailable, "down")}
		source := &batches{outcomes: [][]*authv1.Outcome{batch("a"), batch("b")}}
		logged, _, err := run(t, checks, source, time.Hour)
		if err != nil || fmt.Sprint(checks.reported) != "[a b]" || checks.calls != 302 {
			t.Errorf("reported %v with %d calls, %v", checks.reported, checks.calls, err)
		}
		// 300 attempts, 4 to 6 s apart.
		if n := strings.Count(logged, "explained: down"); n < 15 || n > 30 {
			t.Errorf("%d lines of the failure in\n%s", n, logged)
		}
	})
}

func TestAnOutcomeThatTheServiceDoesNotKnowEndsTheCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := &service{failures: 1, failure: status.Error(codes.InvalidArgument, "outcomes[0].status: wrong")}
		source := &batches{outcomes: [][]*authv1.Outcome{batch("a")}}
		_, _, err := run(t, checks, source, time.Hour)
		if err == nil || !strings.Contains(err.Error(), "outcomes[0].status") || source.committed != 0 {
			t.Errorf("committed %d, %v", source.committed, err)
		}
	})
}

func TestTheEndIsNotDelayedByAServiceThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := &service{failures: 1e6, failure: errors.New("down")}
		source := &batches{outcomes: [][]*authv1.Outcome{batch("a")}}
		logged, took, err := run(t, checks, source, time.Minute)
		if err != nil || took < time.Minute || took > time.Minute+stopTime || source.committed != 0 {
			t.Errorf("after %v: committed %d, %v", took, source.committed, err)
		}
		if !strings.Contains(logged, "stopped before the last lines were reported") {
			t.Errorf("logged:\n%s", logged)
		}
	})
}

func TestTheLastBatchIsReportedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 100 ms, 200 ms and 400 ms, each up to a fifth more or less.
		checks := &service{failures: 3, failure: status.Error(codes.Unavailable, "down")}
		source := &batches{outcomes: [][]*authv1.Outcome{batch("a")}}
		if _, _, err := run(t, checks, source, 200*time.Millisecond); err != nil || source.committed != 1 {
			t.Errorf("committed %d, %v", source.committed, err)
		}
	})
}
