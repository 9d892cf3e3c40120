package trail

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

const (
	firstRetry  = 100 * time.Millisecond
	longestWait = 5 * time.Second
	sendTime    = 30 * time.Second
)

// ship sends a batch until it is stored or ctx ends; then the batch goes back into the queue.
func (q *Queue) ship(ctx context.Context, batch []authsvc.Entry) {
	if len(batch) == 0 {
		return
	}
	batch = fold(batch)
	request := &logsv1.RecordRequestLogsRequest{RequestLogs: make([]*logsv1.RequestLog, len(batch))}
	for i, row := range batch {
		request.RequestLogs[i] = row.Proto()
	}
	for wait := firstRetry; ; wait = min(2*wait, longestWait) {
		err := q.send(ctx, request)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			q.log.Warn("the log service did not take request logs; trying again", "rows", len(batch), "error", err)
		}
		// Up to half of the wait is left to chance, so that replicas do not come back all at once.
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			q.putBack(batch)
			return
		case <-timer.C:
		}
	}
}

func (q *Queue) send(ctx context.Context, request *logsv1.RecordRequestLogsRequest) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	answer, err := q.client.RecordRequestLogs(ctx, request)
	for _, r := range answer.GetRefused() {
		q.log.Error("request log refused for good", "id", r.GetId(), "reason", r.GetReason())
	}
	return err
}

// fold makes one row of the records of one id: the finished one, where there is one, with the largest of their counts.
func fold(batch []authsvc.Entry) []authsvc.Entry {
	at := make(map[uuid.UUID]int, len(batch))
	folded := make([]authsvc.Entry, 0, len(batch))
	for _, row := range batch {
		i, known := at[row.ID]
		switch {
		case !known:
			at[row.ID] = len(folded)
			folded = append(folded, row)
		case folded[i].Status == 0:
			folded[i] = row
		case row.Status != 0:
			folded[i].Repeated = max(folded[i].Repeated, row.Repeated)
		}
	}
	return folded
}
