package trail

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// pass lets time go by, and then everything that is due happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func expectArrived(t *testing.T, service *logService, when string, wantRows int, wantBatches ...int) {
	t.Helper()
	if rows, batches, _ := service.state(); rows != wantRows || !slices.Equal(batches, wantBatches) {
		t.Errorf("%s: %d rows have arrived in batches of %v, want %d in %v", when, rows, batches, wantRows, wantBatches)
	}
}

func TestCallThatEndsWithinTheLingerCostsOneRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &logService{}
		queue, _ := start(t, service)
		defer run(t, queue)()
		row := calls(1)[0]
		appendAll(t, queue, row)
		pass(linger - 2*time.Millisecond)
		expectArrived(t, service, "before the linger is over", 0)
		appendAll(t, queue, finished(row))
		pass(2 * time.Millisecond)
		expectArrived(t, service, "when the linger is over", 1, 1)
		if got := service.status(row.ID); got != 200 {
			t.Errorf("the row has status %d, want 200", got)
		}
	})
}

func TestRowsOfOneCallMayComeInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &logService{}
		queue, _ := start(t, service)
		defer run(t, queue)()
		rows := calls(2)
		appendAll(t, queue, finished(rows[0]), rows[0], rows[1])
		pass(linger)
		expectArrived(t, service, "after the first linger", 2, 2)
		appendAll(t, queue, rows[0], finished(rows[1]))
		pass(linger)
		expectArrived(t, service, "after the second linger", 2, 2, 2)
		for _, row := range rows {
			if got := service.status(row.ID); got != 200 {
				t.Errorf("a row has status %d, want 200", got)
			}
		}
	})
}

func TestFullBatchDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &logService{}
		queue, _ := start(t, service)
		defer run(t, queue)()
		appendAll(t, queue, calls(2*batchRows+1)...)
		synctest.Wait()
		expectArrived(t, service, "at once", 2*batchRows, batchRows, batchRows)
		pass(linger)
		expectArrived(t, service, "after the linger", 2*batchRows+1, batchRows, batchRows, 1)
	})
}

func TestBatchThatFailsIsSentUntilItIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 0
		service := &logService{answer: func([]*logsv1.RequestLog) (string, error) {
			if failures++; failures <= 20 {
				return "", status.Error(codes.Unavailable, "away")
			}
			return "", nil
		}}
		queue, book := start(t, service)
		defer run(t, queue)()
		appendAll(t, queue, calls(batchRows+5)...)
		pass(20 * longestWait)
		expectArrived(t, service, "with the service back", batchRows+5, batchRows, 5)
		if _, _, calls := service.state(); calls != 22 {
			t.Errorf("it took %d calls, want 20 that fail and 2 that do not", calls)
		}
		if rows, _ := book.logged("the log service did not take request logs; trying again"); rows != 20*batchRows {
			t.Errorf("the log tells of %d rows that were not taken, want 20 times a batch", rows)
		}
	})
}

func TestRetriesStayWithinTheLongestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		service := &logService{answer: func([]*logsv1.RequestLog) (string, error) {
			if at = append(at, time.Now()); len(at) <= 12 {
				return "", status.Error(codes.Unavailable, "away")
			}
			return "", nil
		}}
		queue, _ := start(t, service)
		defer run(t, queue)()
		appendAll(t, queue, calls(1)...)
		pass(12 * longestWait)
		expectArrived(t, service, "with the service back", 1, 1)
		for i, wait := range []time.Duration{firstRetry, 2 * firstRetry, 4 * firstRetry} {
			if gap := at[i+1].Sub(at[i]); gap < wait/2 || gap > wait {
				t.Errorf("retry %d came after %v, want %v to %v", i+1, gap, wait/2, wait)
			}
		}
		if gap := at[12].Sub(at[11]); gap < longestWait/2 || gap > longestWait {
			t.Errorf("the last retry came after %v, want %v to %v", gap, longestWait/2, longestWait)
		}
	})
}

func TestRefusedRowDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := calls(3)
		service := &logService{answer: func([]*logsv1.RequestLog) (string, error) { return rows[1].ID.String(), nil }}
		queue, book := start(t, service)
		defer run(t, queue)()
		appendAll(t, queue, rows...)
		pass(time.Minute)
		expectArrived(t, service, "after a minute", 2, 3)
		if _, ok := book.logged("request log refused for good"); !ok {
			t.Error("nobody is told of the refused row")
		}
	})
}

func TestShutdownShipsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &logService{}
		queue, book := start(t, service)
		stop := run(t, queue)
		synctest.Wait()
		appendAll(t, queue, calls(20)...)
		began := time.Now()
		stop()
		expectArrived(t, service, "at the end", 20, 20)
		if took := time.Since(began); took > linger {
			t.Errorf("the drain took %v", took)
		}
		if rows, ok := book.logged(lostAtShutdown); ok {
			t.Errorf("%d rows are said to be lost", rows)
		}
	})
}

const lostAtShutdown = "request logs lost: the log service did not take them before shutdown"

func TestShutdownShipsMoreThanABatchThroughAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 0
		service := &logService{answer: func([]*logsv1.RequestLog) (string, error) {
			if failures++; failures <= 3 {
				return "", status.Error(codes.Unavailable, "away")
			}
			return "", nil
		}}
		queue, _ := start(t, service)
		appendAll(t, queue, calls(2*batchRows+7)...)
		run(t, queue)()
		expectArrived(t, service, "at the end", 2*batchRows+7, batchRows, batchRows, 7)
	})
}

func TestShutdownGivesUpInTimeAndTellsEveryLostRow(t *testing.T) {
	for _, count := range []int{1, batchRows, 2*batchRows + 7} {
		synctest.Test(t, func(t *testing.T) {
			service := &logService{answer: func([]*logsv1.RequestLog) (string, error) {
				return "", status.Error(codes.Unavailable, "away")
			}}
			queue, book := start(t, service)
			stop := run(t, queue)
			appendAll(t, queue, calls(count)...)
			pass(2 * linger) // the shipper is in the middle of its retries
			began := time.Now()
			stop()
			if took := time.Since(began); took > drainTime+linger {
				t.Errorf("giving up took %v, want %v", took, drainTime)
			}
			if rows, _ := book.logged(lostAtShutdown); rows != count {
				t.Errorf("%d rows are lost, the log tells of %d", count, rows)
			}
		})
	}
}

func TestFullQueueTakesAllOfTheRowsOrNone(t *testing.T) {
	queue := New(nil, slog.New(&logbook{rows: map[string]int{}}))
	appendAll(t, queue, make([]authsvc.Entry, maxRows-2)...)
	if err := queue.Append(t.Context(), calls(5)...); fault.KindOf(err) != fault.Unavailable || queue.waiting() != maxRows-2 {
		t.Errorf("five rows where two fit: %v, and %d rows wait", err, queue.waiting())
	}
	if queue.Full() {
		t.Error("a queue with room for two is full")
	}
	appendAll(t, queue, calls(2)...)
	if !queue.Full() {
		t.Error("a queue without room is not full")
	}

	// While a batch is out, others take its place; it comes back all the same.
	batch := queue.take()
	appendAll(t, queue, make([]authsvc.Entry, batchRows)...)
	queue.putBack(batch)
	if err := queue.Append(t.Context(), calls(1)...); fault.KindOf(err) != fault.Unavailable || queue.waiting() != maxRows+batchRows {
		t.Errorf("a row on an overfull queue: %v, and %d rows wait", err, queue.waiting())
	}
	for len(queue.rows) > 0 {
		batch = queue.take()
	}
	if len(batch) != batchRows || queue.rows != nil {
		t.Errorf("the last batch holds %d rows", len(batch))
	}
}

func TestRowsThatFindNoRoomAreToldAtOnceAndOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := &logbook{rows: map[string]int{}}
		queue := New(nil, slog.New(book))
		appendAll(t, queue, make([]authsvc.Entry, maxRows)...)
		refuse := func(count, want int) {
			t.Helper()
			if err := queue.Append(t.Context(), calls(count)...); err == nil {
				t.Error("a full queue takes rows")
			}
			if got, _ := book.logged("request logs not taken: the queue is full"); got != want {
				t.Errorf("the log tells of %d rows, want %d", got, want)
			}
		}
		refuse(3, 3)
		refuse(4, 3)
		pass(tellEvery - time.Second)
		refuse(5, 3)
		pass(time.Second)
		refuse(1, 13)
		refuse(2, 13)
		queue.account()
		if got, _ := book.logged("request logs not taken: the queue is full"); got != 15 {
			t.Errorf("at the end the log tells of %d rows, want 15", got)
		}
	})
}
