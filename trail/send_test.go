package trail

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// refuseRow refuses one row by id.
func refuseRow(id uuid.UUID, reason string) func(context.Context, []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
	return func(_ context.Context, batch []*logsv1.RequestLogRecord) (refused []*logsv1.RefusedRequestLog, _ error) {
		if i := indexOf(batch, id); i >= 0 {
			refused = append(refused, &logsv1.RefusedRequestLog{Index: int32(i), RequestLogId: id.String(), Reason: reason})
		}
		return refused, nil
	}
}

func indexOf(batch []*logsv1.RequestLogRecord, id uuid.UUID) int {
	return slices.IndexFunc(batch, func(record *logsv1.RequestLogRecord) bool { return record.GetRequestLog().GetId() == id.String() })
}

func TestBatchThatFailsIsSentUntilItIsStored(t *testing.T) {
	for _, code := range []codes.Code{
		codes.Unavailable, codes.Internal, codes.Unknown, codes.DeadlineExceeded, codes.Canceled, codes.Unimplemented,
		codes.Unauthenticated, codes.PermissionDenied, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, t.TempDir(), &logService{respond: failing(20, status.Error(code, "away"))})
			w.run(t)
			w.append(t, calls(5)...)
			pass(20 * maxBackoff)
			w.expect(t, code.String(), 5, 5)
			if _, _, calls := w.service.state(); len(calls) != 21 {
				t.Errorf("%v: it took %d calls, want 20 that fail and one that does not", code, len(calls))
			}
			if letters := w.letters(t); len(letters) != 0 {
				t.Errorf("%v: %d rows are set aside", code, len(letters))
			}
		})
	}
}

func TestRetriesStayWithinTheLongestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{respond: failing(16, status.Error(codes.Unavailable, "away"))})
		w.run(t)
		w.append(t, calls(1)...)
		pass(16 * maxBackoff)
		w.expect(t, "with the service back", 1, 1)
		_, _, at := w.service.state()
		gaps, wait := map[time.Duration]bool{}, minBackoff
		for i := range len(at) - 1 {
			gap := at[i+1].Sub(at[i])
			if gap < wait/2 || gap > wait {
				t.Errorf("retry %d came after %v, want %v to %v", i+1, gap, wait/2, wait)
			}
			if wait == maxBackoff {
				gaps[gap] = true
			}
			wait = min(2*wait, maxBackoff)
		}
		if len(gaps) < 5 {
			t.Errorf("the longest waits are %v: nothing is left to chance", gaps)
		}
	})
}

const retryMessage = "request logs wait on the trail; retrying"

func TestFailuresAreLoggedAtOnceAndOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{respond: failing(-1, status.Error(codes.Unavailable, "away"))})
		w.run(t)
		w.append(t, calls(4)...)
		pass(linger + 3*logInterval + logInterval/2)
		if lines, _ := w.book.logged(retryMessage, "bytes"); lines != 4 {
			t.Errorf("in three and a half minutes the log has %d lines, want 4", lines)
		}
	})
}

func TestDelaysThatAreOverAreNotLoggedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{respond: failing(5, status.Error(codes.Unavailable, "away"))})
		stop := w.run(t)
		w.append(t, calls(1)...)
		pass(linger + 5*maxBackoff)
		w.expect(t, "with the service back", 1, 1)
		stop()
		if lines, _ := w.book.logged(retryMessage, "bytes"); lines != 1 {
			t.Errorf("the log has %d lines of what waits, want the one of the first failure", lines)
		}
	})
}

func TestServiceThatHangsIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var called atomic.Int32
		w := start(t, t.TempDir(), &logService{respond: func(ctx context.Context, _ []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			if called.Add(1) == 1 {
				<-ctx.Done()
			}
			return nil, ctx.Err()
		}})
		w.run(t)
		w.append(t, calls(3)...)
		pass(linger + sendTimeout - time.Millisecond)
		w.expect(t, "while it hangs", 0)
		pass(minBackoff + time.Millisecond)
		w.expect(t, "asked again", 3, 3)
	})
}

func TestPoisonRowsAreFoundByHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := calls(batchRows)
		const one, other = 17, batchRows * 3 / 5
		w := start(t, t.TempDir(), &logService{respond: func(_ context.Context, batch []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			for _, i := range []int{one, other} {
				if indexOf(batch, rows[i].ID) >= 0 {
					return nil, status.Errorf(codes.InvalidArgument, "endpoint: must not be number %d", i)
				}
			}
			return nil, nil
		}})
		w.run(t)
		w.append(t, rows...)
		pass(linger)
		// A row costs two calls each time that the batch is halved.
		if stored, _, calls := w.service.state(); stored != batchRows-2 || len(calls) > 2*2*bits.Len(batchRows) {
			t.Errorf("%d of %d rows are stored, by %d calls", stored, batchRows-2, len(calls))
		}
		w.expectLetters(t, map[string]string{
			rows[one].ID.String():   fmt.Sprint("endpoint: must not be number ", one),
			rows[other].ID.String(): fmt.Sprint("endpoint: must not be number ", other),
		})
		if waiting := w.wal.BacklogBytes(); waiting != 0 {
			t.Errorf("%d bytes wait", waiting)
		}
		if lines, _ := w.book.logged(retryMessage, "bytes"); lines != 0 {
			t.Error("rows that are refused permanently are logged as waiting")
		}
	})
}

const deadLetterMessage = "request logs refused permanently by the log service; written to the dead-letter file"

func TestServiceThatRefusesEverythingFloodsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{respond: failing(-1, status.Error(codes.InvalidArgument, "no"))})
		stop := w.run(t)
		const count = 8 * 64
		w.append(t, calls(count)...)
		pass(linger)
		stop()
		if letters := w.letters(t); len(letters) != count {
			t.Errorf("%d of %d rows are set aside", len(letters), count)
		}
		if _, most := w.service.inFlight(); most > maxInFlight {
			t.Errorf("%d batches were in flight at once", most)
		}
		if lines, _ := w.book.logged(deadLetterMessage, "rows"); lines != 1 {
			t.Errorf("%d rows are logged on %d lines, want 1 in a minute", count, lines)
		}
		w.expectMetrics(t, map[string]float64{"dead_lettered_rows_total": count, "shipped_rows_total": 0, "waiting_bytes": 0})
	})
}

func TestBatchThatIsTooLongIsHalved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{respond: func(_ context.Context, batch []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			if len(batch) > batchRows*3/10 {
				return nil, status.Error(codes.ResourceExhausted, "too long")
			}
			return nil, nil
		}})
		w.run(t)
		w.append(t, calls(batchRows)...)
		pass(2 * linger)
		w.expect(t, "halved", batchRows, slices.Repeat([]int{batchRows / 4}, 4)...)
		if letters := w.letters(t); len(letters) != 0 {
			t.Errorf("%d rows are set aside", len(letters))
		}
	})
}

// TestOverloadCausesNoStormOfRetries has a service that is overloaded for a while, and reports it with the code that also means
// that a batch is too long.
func TestOverloadCausesNoStormOfRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := start(t, t.TempDir(), &logService{respond: func(context.Context, []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			if time.Since(began) < time.Minute {
				return nil, status.Error(codes.ResourceExhausted, "overloaded")
			}
			return nil, nil
		}})
		w.run(t)
		w.append(t, calls(maxInFlight*batchRows)...)
		pass(time.Minute - time.Millisecond)
		_, _, calls := w.service.state()
		if _, most := w.service.inFlight(); len(calls) > 60*maxInFlight || most > maxInFlight {
			t.Errorf("in a minute it was called %d times, %d at once", len(calls), most)
		}
		if calls[maxInFlight].Sub(calls[0]) < minBackoff/2 {
			t.Error("it says that it is overloaded, and is called again at once")
		}
		pass(maxBackoff)
		// Each batch was halved down to one row, and its other halves are sent whole.
		if rows, batches, _ := w.service.state(); rows != maxInFlight*batchRows || len(batches) > maxInFlight*bits.Len(batchRows) {
			t.Errorf("once it is back, %d rows of %d arrive, in %d batches", rows, maxInFlight*batchRows, len(batches))
		}
		if letters := w.letters(t); len(letters) != 0 {
			t.Errorf("%d rows are set aside", len(letters))
		}
	})
}

// TestResponseThatIdentifiesNoRowLosesNone has a service that refuses a row under a wrong index or id.
func TestResponseThatIdentifiesNoRowLosesNone(t *testing.T) {
	for name, garble := range map[string]func(r *logsv1.RefusedRequestLog){
		"an index behind the end": func(r *logsv1.RefusedRequestLog) { r.Index = batchRows },
		"a negative index":        func(r *logsv1.RefusedRequestLog) { r.Index = -1 },
		"another row's index":     func(r *logsv1.RefusedRequestLog) { r.Index++ },
		"another id":              func(r *logsv1.RefusedRequestLog) { r.RequestLogId = "?" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rows := calls(10)
				w := start(t, t.TempDir(), &logService{respond: func(ctx context.Context, batch []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
					refused, err := refuseRow(rows[3].ID, "too old")(ctx, batch)
					for _, r := range refused {
						garble(r)
					}
					return refused, err
				}})
				w.run(t)
				w.append(t, rows...)
				pass(linger)
				for i, row := range rows {
					if stored := w.service.status(row.ID) == 0; !stored && i != 3 {
						t.Errorf("row %d is not stored", i)
					}
				}
				w.expectLetters(t, map[string]string{rows[3].ID.String(): "refused under a wrong index or id: too old"})
			})
		})
	}
}

func TestRowThatIsRefusedTwiceIsSetAsideOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := calls(10)
		w := start(t, t.TempDir(), &logService{respond: func(ctx context.Context, batch []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			refused, err := refuseRow(rows[3].ID, "too old")(ctx, batch)
			return append(refused, refused...), err
		}})
		w.run(t)
		w.append(t, rows...)
		pass(linger)
		if letters := w.letters(t); len(letters) != 1 {
			t.Errorf("%d rows are set aside", len(letters))
		}
		w.expectMetrics(t, map[string]float64{"shipped_rows_total": 9, "dead_lettered_rows_total": 1})
	})
}
