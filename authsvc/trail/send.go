package trail

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
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
func (t *Trail) send(ctx context.Context, batch []*logsv1.RequestLog) error {
	for wait := firstRetry; ; wait = min(2*wait, longestWait) {
		err := t.sendOnce(ctx, batch)
		switch code := status.Code(err); {
		case err == nil:
			return nil
		case len(batch) > 1 && (code == codes.InvalidArgument || code == codes.ResourceExhausted):
			// One of the rows spoils the batch, or it is too long for something on the way.
			return t.sendHalves(ctx, batch)
		case code == codes.InvalidArgument:
			if err = t.bury(deadLetter{row: batch[0], reason: status.Convert(err).Message()}); err == nil {
				return nil
			}
		}
		t.complain(ctx, len(batch), err)
		// Up to half of the wait is left to chance, so that replicas do not come back all at once.
		pause(ctx, wait/2+rand.N(wait/2))
		if ctx.Err() != nil {
			return fmt.Errorf("send %d rows: %w", len(batch), ctx.Err())
		}
	}
}

func (t *Trail) sendHalves(ctx context.Context, batch []*logsv1.RequestLog) error {
	var group errgroup.Group
	for _, half := range [][]*logsv1.RequestLog{batch[:len(batch)/2], batch[len(batch)/2:]} {
		group.Go(func() error { return t.send(ctx, half) })
	}
	return group.Wait()
}

// sendOnce sends a batch and sets aside what the log service will never store.
func (t *Trail) sendOnce(ctx context.Context, batch []*logsv1.RequestLog) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	answer, err := t.client.RecordRequestLogs(ctx, &logsv1.RecordRequestLogsRequest{RequestLogs: batch})
	if err != nil {
		return err
	}
	refused := answer.GetRefused()
	letters := make([]deadLetter, 0, len(refused))
	for _, r := range refused {
		if i := int(r.GetIndex()); i >= 0 && i < len(batch) {
			letters = append(letters, deadLetter{row: batch[i], reason: r.GetReason()})
		}
	}
	if err := t.bury(letters...); err != nil {
		return err
	}
	t.metrics.shipped.Add(float64(len(batch) - len(letters)))
	return nil
}

// bury sets rows aside for good.
func (t *Trail) bury(letters ...deadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	if err := t.dead.write(time.Now(), letters); err != nil {
		return err
	}
	t.metrics.deadLettered.Add(float64(len(letters)))
	t.log.Error("request logs refused for good are set aside", "rows", len(letters), "file", t.dead.path(), "first_id", letters[0].row.GetId(), "first_reason", letters[0].reason)
	return nil
}
