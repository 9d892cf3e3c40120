// Package accesslog reports the calls in the access log of a proxy: a proxy that checks a call by a subrequest does not say how
// the call ended, but its log does.
package accesslog

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

const (
	// MaxBatch is the most outcomes of one Report, as check_service.proto says.
	MaxBatch = 1000
	// maxWait is how long a line may wait to be read, and for more lines to be reported with.
	maxWait = 200 * time.Millisecond
	// stopTime is how long Run goes on reporting when it is stopped.
	stopTime = 5 * time.Second
	// summaryInterval is after what time Run logs what it has done, and then how often, if it has skipped something.
	summaryInterval = time.Minute
	// minPause and maxPause are between attempts to report.
	minPause, maxPause = 100 * time.Millisecond, 5 * time.Second
)

// Source reads an access log. It is used by one goroutine.
type Source interface {
	// Read returns at most MaxBatch outcomes. It waits for them for about 200 ms, and then returns an empty slice. When ctx has
	// ended, it returns what would otherwise be lost, and then an empty slice.
	Read(ctx context.Context) ([]*authv1.Outcome, error)
	// Commit is called before the next Read when all that was read has been reported.
	Commit() error
	// Close is called when nothing is read any more.
	Close() error
}

// Reporter reports outcomes to the auth service.
type Reporter struct {
	checks authv1.CheckServiceClient
	lines  *LineReader
	log    *slog.Logger
	// explain is the text of an error of the auth service.
	explain func(error) string

	failed, refusal rate.Sometimes
	reported        int64
	refused         map[string]int64
	// told is how many lines were skipped by the last summary, -1 before the first, and summarized its time.
	told       int64
	summarized time.Time
}

// NewReporter returns a reporter of the outcomes that lines returns.
func NewReporter(checks authv1.CheckServiceClient, lines *LineReader, log *slog.Logger, explain func(error) string) *Reporter {
	return &Reporter{
		checks: checks, lines: lines, log: log, explain: explain, refused: map[string]int64{}, told: -1,
		failed: rate.Sometimes{Interval: time.Minute}, refusal: rate.Sometimes{Interval: time.Minute},
	}
}

// Run reports until ctx ends, and then for 5 seconds at most. It repeats a Report that fails as long as it takes, and reads
// nothing meanwhile.
func (r *Reporter) Run(ctx context.Context, source Source) error {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopTime, cancel) })()
	r.summarized = time.Now()
	defer r.summarize()
	for {
		outcomes, err := source.Read(ctx)
		if err != nil {
			return err
		}
		if err := r.report(late, outcomes); err != nil {
			return err
		}
		if late.Err() != nil {
			r.log.Warn("stopped before the last lines were reported", "lines", len(outcomes))
			return nil
		}
		if err := source.Commit(); err != nil {
			return err
		}
		if len(outcomes) == 0 && ctx.Err() != nil {
			return nil
		}
		if r.skipped() > r.told && time.Since(r.summarized) >= summaryInterval {
			r.summarize()
		}
	}
}

// report reports a batch. It returns without an error when ctx ends.
func (r *Reporter) report(ctx context.Context, outcomes []*authv1.Outcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	response, err := backoff.Retry(ctx, func() (*authv1.ReportResponse, error) {
		response, err := r.checks.Report(ctx, &authv1.ReportRequest{Outcomes: outcomes})
		if status.Code(err) == codes.InvalidArgument {
			err = backoff.Permanent(err) // the auth service is of a release that knows other outcomes
		}
		return response, err
	}, backoff.WithMaxElapsedTime(0), backoff.WithNotify(r.notify), backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: minPause, MaxInterval: maxPause, Multiplier: 2, RandomizationFactor: 0.2,
	}))
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("report calls: %w", err)
	}
	for _, refused := range response.GetRefused() {
		r.refused[refused.GetReason()]++
		r.refusal.Do(func() {
			r.log.Warn("a report was refused; others within a minute are only counted", "reason", refused.GetReason())
		})
	}
	r.reported += int64(len(outcomes) - len(response.GetRefused()))
	return nil
}

func (r *Reporter) notify(err error, _ time.Duration) {
	r.failed.Do(func() { r.log.Warn("cannot report calls; trying again until it succeeds", "error", r.explain(err)) })
}

// skipped is how many lines were not reported although they should have been.
func (r *Reporter) skipped() int64 {
	n := r.lines.malformed.Load() + r.lines.dropped.Load()
	for _, refused := range r.refused {
		n += refused
	}
	return n
}

// summarize logs what was done so far.
func (r *Reporter) summarize() {
	attrs := []any{"reported", r.reported, "without_token", r.lines.withoutToken.Load(), "malformed", r.lines.malformed.Load(),
		"dropped", r.lines.dropped.Load()}
	for reason, n := range r.refused {
		attrs = append(attrs, "refused_"+reason, n)
	}
	r.log.Info("calls of the access log since the start", attrs...)
	r.told, r.summarized = r.skipped(), time.Now()
}
