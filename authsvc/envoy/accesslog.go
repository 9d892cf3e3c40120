package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"golang.org/x/time/rate"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// maxOutcomes is the most outcomes of a ReportRequest.
	maxOutcomes = 1000
	// retryInterval and maxRetryInterval are how long a stream waits before it repeats a report that the trail refused.
	retryInterval, maxRetryInterval = 100 * time.Millisecond, 5 * time.Second
)

// accessLog is the service to which Envoy sends its access log. Each worker thread of an Envoy has a stream of its own.
type accessLog struct {
	accesslogv3.UnimplementedAccessLogServiceServer
	checks authv1.CheckServiceServer
	log    *slog.Logger
	// refused and delayed limit the log lines about report tokens that were refused, and about a trail that refuses rows.
	refused, delayed rate.Sometimes
}

// StreamAccessLogs implements envoy.service.accesslog.v3.AccessLogService. The entries of a message are on the trail before the next
// message is received, so a slow trail slows Envoy down, and a stream holds one message. Nothing is acknowledged: Envoy expects no
// response, and what is on its way when a stream breaks is lost
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/accesslog/v3/als.proto).
func (s *accessLog) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&accesslogv3.StreamAccessLogsResponse{})
		}
		if err != nil {
			return err
		}
		for outcomes := range slices.Chunk(outcomesOf(message), maxOutcomes) {
			if err := s.report(stream.Context(), outcomes); err != nil {
				return err
			}
		}
	}
}

// report puts outcomes onto the trail. While the trail has no room it tries again, until the stream ends: Envoy does not send them a
// second time. The end of the stream does not cut off an attempt.
func (s *accessLog) report(ctx context.Context, outcomes []*authv1.Outcome) error {
	intervals := backoff.NewExponentialBackOff()
	intervals.InitialInterval, intervals.MaxInterval = retryInterval, maxRetryInterval
	report := func() (*authv1.ReportResponse, error) {
		response, err := s.checks.Report(context.WithoutCancel(ctx), &authv1.ReportRequest{Outcomes: outcomes})
		if err != nil && fault.KindOf(err) != fault.Unavailable {
			err = backoff.Permanent(err)
		}
		return response, err
	}
	response, err := backoff.Retry(ctx, report,
		backoff.WithBackOff(intervals), backoff.WithMaxElapsedTime(0), backoff.WithNotify(s.logDelay))
	if err != nil {
		return fmt.Errorf("report %d entries of an access log: %w", len(outcomes), err)
	}
	if refused := response.GetRefused(); len(refused) > 0 {
		s.refused.Do(func() {
			s.log.Warn("entries of Envoy's access log have report tokens that were refused",
				"entries", len(refused), "reason", refused[0].GetReason())
		})
	}
	return nil
}

func (s *accessLog) logDelay(err error, _ time.Duration) {
	s.delayed.Do(func() {
		s.log.Warn("the trail refuses entries of Envoy's access log; their streams wait", "error", err)
	})
}
