package trail

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

const (
	firstRetry  = 100 * time.Millisecond
	longestWait = 5 * time.Second
	sendTime    = 30 * time.Second
)

// send sends a batch until every row of it is stored or set aside. It answers an error only where ctx ends before.
func (s *shipper) send(ctx context.Context, batch []*logsv1.RequestLogRecord) error {
	ending := s.ending
	for wait := firstRetry; ; wait = min(2*wait, longestWait) {
		err := s.sendOnce(ctx, batch)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("send %d rows: %w", len(batch), ctx.Err())
		}
		if status.Code(err) == codes.InvalidArgument && len(batch) > 1 {
			// One of the rows spoils the batch.
			return s.sendHalves(ctx, batch)
		}
		s.delays.add(1, err)
		// Up to half of the wait is left to chance, so that replicas do not come back all at once.
		if s.pause(ctx, ending, wait/2+rand.N(wait/2)) {
			// The drain has begun: it has no time for long waits, and begins once.
			wait, ending = firstRetry/2, nil
		}
		if status.Code(err) == codes.ResourceExhausted && len(batch) > 1 {
			// It may be too long for something on the way.
			return s.sendHalves(ctx, batch)
		}
	}
}

// pause waits for d. It ends early with ctx, or with ending, and then answers true.
func (s *shipper) pause(ctx context.Context, ending <-chan struct{}, d time.Duration) bool {
	select {
	case <-ending:
		return true
	case <-ctx.Done():
	case <-time.After(d):
	}
	return false
}

// sendHalves sends the halves of a batch one after the other: a log service that refuses whatever it is sent must not
// be sent ever more, ever smaller batches at once.
func (s *shipper) sendHalves(ctx context.Context, batch []*logsv1.RequestLogRecord) error {
	middle := len(batch) / 2
	if err := s.send(ctx, batch[:middle]); err != nil {
		return err
	}
	return s.send(ctx, batch[middle:])
}

// sendOnce sends a batch and sets aside what the log service will never store. An InvalidArgument, which it answers of
// several rows only together, says that some of them are among those.
func (s *shipper) sendOnce(ctx context.Context, batch []*logsv1.RequestLogRecord) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	var letters []deadLetter
	answer, err := s.client.RecordRequestLogs(ctx, &logsv1.RecordRequestLogsRequest{Records: batch})
	if err == nil {
		letters, err = refusals(batch, answer.GetRefused())
	}
	if status.Code(err) == codes.InvalidArgument && len(batch) == 1 {
		letters, err = []deadLetter{{record: batch[0], reason: "malformed", message: status.Convert(err).Message()}}, nil
	}
	if err != nil {
		return err
	}
	if err := s.bury(letters); err != nil {
		return err
	}
	s.metrics.shipped.Add(float64(len(batch) - len(letters)))
	return nil
}

// refusals finds the rows that an answer refuses. One that names them wrongly leaves open which they are: that is an
// InvalidArgument, as if it had refused them together.
func refusals(batch []*logsv1.RequestLogRecord, refused []*logsv1.RefusedRequestLog) ([]deadLetter, error) {
	letters, last := make([]deadLetter, 0, len(refused)), -1
	for _, r := range refused {
		i := int(r.GetIndex())
		if i <= last || i >= len(batch) || r.GetRequestLogId() != batch[i].GetRequestLog().GetId() {
			return nil, status.Errorf(codes.InvalidArgument, "refused under a wrong index or id: %s", r.GetReason())
		}
		letters, last = append(letters, deadLetter{record: batch[i], reason: r.GetReason(), message: r.GetMessage()}), i
	}
	return letters, nil
}

// bury sets rows aside for good.
func (t *Trail) bury(letters []deadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	if err := t.dead.write(time.Now(), letters); err != nil {
		return err
	}
	t.metrics.deadLettered.Add(float64(len(letters)))
	last := letters[len(letters)-1]
	t.burials.add(len(letters), fmt.Errorf("request log %s: %s: %s", last.record.GetRequestLog().GetId(), last.reason, last.message))
	return nil
}
