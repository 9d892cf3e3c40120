package trail

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

func hang(ctx context.Context, _ []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestRowsOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, rows := t.TempDir(), calls(batchRows+20)
		w := start(t, dir, &logService{})
		stop := w.run(t)
		w.append(t, rows[:10]...)
		pass(linger)
		stop()
		w.append(t, rows[10:]...)
		w.append(t, finished(rows[0]))
		w.close(t)
		arrived := shipAll(t, dir)
		if rows, _, _ := arrived.state(); rows != batchRows+11 {
			t.Errorf("%d rows arrive after the restart, want the %d that waited", rows, batchRows+11)
		}
		if again, _, _ := shipAll(t, dir).state(); again != 0 {
			t.Errorf("%d rows are shipped once more", again)
		}
	})
}

func TestTrailMayBeRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &logService{respond: hang}
		w := start(t, t.TempDir(), service)
		stop := w.run(t)
		w.append(t, calls(7)...)
		pass(linger)
		stop()
		service.respond = nil
		w.run(t)
		pass(linger)
		w.expect(t, "run again", 7, 7)
	})
}

const leftMessage = "request logs not shipped before shutdown; they stay on the trail for the next start"

func TestShutdownShipsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		stop := w.run(t)
		synctest.Wait()
		w.append(t, calls(windowRecords+20)...)
		synctest.Wait()
		began := time.Now()
		stop()
		if rows, _, _ := w.service.state(); rows != windowRecords+20 || time.Since(began) > 0 {
			t.Errorf("%d rows have arrived in %v", rows, time.Since(began))
		}
		if lines, _ := w.book.logged(leftMessage, "bytes"); lines != 0 {
			t.Error("rows are said to wait")
		}
	})
}

func TestShutdownShipsThroughAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{respond: failing(3, status.Error(codes.Unavailable, "away"))})
		w.append(t, calls(2*batchRows+7)...)
		w.run(t)()
		w.expect(t, "at the end", 2*batchRows+7, batchRows, batchRows, 7)
	})
}

// TestShutdownDoesNotWaitForALongRetry has the service available again during the longest backoff.
func TestShutdownDoesNotWaitForALongRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		w := start(t, t.TempDir(), &logService{respond: func(context.Context, []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			if !back.Load() {
				return nil, status.Error(codes.Unavailable, "away")
			}
			return nil, nil
		}})
		stop := w.run(t)
		w.append(t, calls(20)...)
		pass(time.Minute)
		_, _, before := w.service.state()
		for now := before; len(now) == len(before); _, _, now = w.service.state() {
			pass(10 * time.Millisecond)
		}
		back.Store(true)
		began := time.Now()
		stop()
		w.expect(t, "at the end", 20, 20)
		if took := time.Since(began); took > minBackoff {
			t.Errorf("the drain took %v", took)
		}
	})
}

func TestShutdownLetsWhatIsUnderWayArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{respond: func(ctx context.Context, _ []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			sleep(ctx, linger)
			return nil, ctx.Err()
		}})
		stop := w.run(t)
		w.append(t, calls(20)...)
		pass(linger + linger/2)
		stop()
		w.expect(t, "at the end", 20, 20)
		if _, _, calls := w.service.state(); len(calls) != 1 {
			t.Errorf("it took %d calls", len(calls))
		}
	})
}

func TestShutdownGivesUpInTimeAndLeavesTheRows(t *testing.T) {
	for name, answer := range map[string]func(context.Context, []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error){
		"away": failing(-1, status.Error(codes.Unavailable, "away")), "hanging": hang,
		"overloaded": failing(-1, status.Error(codes.ResourceExhausted, "busy")),
	} {
		for _, count := range []int{1, maxInFlight*batchRows + 7} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir := t.TempDir()
					w := start(t, dir, &logService{respond: answer})
					stop := w.run(t)
					w.append(t, calls(count)...)
					pass(2 * linger) // the shipper is retrying
					began, waiting := time.Now(), int(w.wal.BacklogBytes())
					stop()
					if took := time.Since(began); took > drainTimeout {
						t.Errorf("giving up took %v, want %v", took, drainTimeout)
					}
					if lines, bytes := w.book.logged(leftMessage, "bytes"); lines != 1 || bytes != waiting {
						t.Errorf("%d lines tell of %d bytes that wait, want one of %d", lines, bytes, waiting)
					}
					w.close(t)
					if rows, _, _ := shipAll(t, dir).state(); rows != count {
						t.Errorf("%d rows arrive after the restart, want %d", rows, count)
					}
				})
			})
		}
	}
}
