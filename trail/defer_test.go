package trail

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// slow delays the response of the log service. A canceled batch is not stored.
func slow(took time.Duration) func(context.Context, []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
	return func(ctx context.Context, _ []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
		sleep(ctx, took)
		return nil, ctx.Err()
	}
}

// sent returns how many rows the service has received.
func (s *logService) sent() (rows int) {
	_, batches, _ := s.state()
	for _, n := range batches {
		rows += n
	}
	return rows
}

// TestWritesOfACall makes calls at a steady rate, and counts the rows that are sent.
func TestWritesOfACall(t *testing.T) {
	for _, tt := range []struct {
		length time.Duration
		writes int
	}{
		{0, 1}, {50 * time.Millisecond, 1}, {500 * time.Millisecond, 1}, {900 * time.Millisecond, 1}, {linger - 2*time.Millisecond, 1},
		{3 * time.Second, 2},
	} {
		for _, took := range []time.Duration{0, 300 * time.Millisecond} {
			t.Run(fmt.Sprint(tt.length, " stored in ", took), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := start(t, t.TempDir(), &logService{respond: slow(took)})
					w.run(t)
					const made, every = 1000, 7 * time.Millisecond
					for range made {
						row := calls(1)[0]
						w.append(t, row)
						time.AfterFunc(tt.length, func() { _ = w.Append(context.Background(), finished(row)) })
						<-time.After(every)
					}
					pass(tt.length + 3*linger + time.Second)
					if sent := w.service.sent(); sent != made*tt.writes {
						t.Errorf("%d calls cost %d rows, want %d each", made, sent, tt.writes)
					}
					w.expectMetrics(t, map[string]float64{
						"appended_records_total": 2 * made, "folded_records_total": float64(2*made - tt.writes*made),
						"waiting_bytes": 0, "oldest_record_age_seconds": 0,
					})
				})
			})
		}
	}
}

// TestCallInProgressIsDeferredOnce has a call in progress when a window is read: it is sent with the next window.
func TestCallInProgressIsDeferredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		w.run(t)
		w.append(t, calls(3)...)
		pass(linger - 100*time.Millisecond)
		before := w.wal.BacklogBytes()
		deferred, denied := calls(1)[0], calls(1)[0]
		w.append(t, deferred, finished(denied))
		pass(100 * time.Millisecond)
		w.expect(t, "after the linger", 4, 4)
		w.expectMetrics(t, map[string]float64{
			"oldest_record_age_seconds": 0.1, "waiting_bytes": float64(w.wal.BacklogBytes()), "shipped_rows_total": 4,
		})
		if waiting := w.wal.BacklogBytes(); waiting <= 0 || waiting >= before {
			t.Errorf("%d bytes wait from the deferred row on, %d did before", waiting, before)
		}
		// After a kill the next process ships the deferred row, and again what is behind it.
		if left := w.left(t); left.status(deferred.ID) != 0 || left.sent() != 2 {
			t.Errorf("a kill would leave %d rows, and the deferred one with status %d", left.sent(), left.status(deferred.ID))
		}
		pass(linger)
		w.expect(t, "a linger later", 5, 4, 1)
		w.expectMetrics(t, map[string]float64{"oldest_record_age_seconds": 0, "waiting_bytes": 0})
		pass(10 * linger)
		w.expect(t, "long after", 5, 4, 1)
	})
}

// TestDrainDefersNothing ends a Run before a window is read, while it is sent, and while rows of it are deferred.
func TestDrainDefersNothing(t *testing.T) {
	for _, at := range []time.Duration{linger - time.Millisecond, linger + 100*time.Millisecond, linger + 300*time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, t.TempDir(), &logService{respond: slow(200 * time.Millisecond)})
			stop := w.run(t)
			w.append(t, calls(1)...)
			pass(linger - 2*time.Millisecond)
			w.append(t, calls(2)...)
			pass(at - linger + 2*time.Millisecond)
			w.append(t, calls(4)...)
			stop()
			if waiting := w.wal.BacklogBytes(); waiting != 0 || w.service.sent() != 7 {
				t.Errorf("ended after %v: %d rows are sent, %d bytes wait", at, w.service.sent(), waiting)
			}
		})
	}
}

// TestBacklogDefersNothing has calls in progress behind a full window.
func TestBacklogDefersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		w.append(t, calls(1)...)
		w.run(t)
		pass(linger - time.Millisecond)
		w.append(t, calls(windowRecords)...)
		pass(time.Millisecond)
		full := slices.Repeat([]int{batchRows}, windowRecords/batchRows)
		w.expect(t, "when the linger is over", windowRecords, full...)
		pass(linger)
		w.expect(t, "a linger later", windowRecords+1, append(full, 1)...)
	})
}

// TestDeferredRowsSurviveAnyKill makes calls of all lengths, and checks at random moments what a kill would leave.
func TestDeferredRowsSurviveAnyKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		w := start(t, t.TempDir(), &logService{respond: slow(20 * time.Millisecond)})
		w.run(t)
		made := calls(0)
		for range 400 {
			row := calls(1)[0]
			made = append(made, row)
			w.append(t, row)
			time.AfterFunc(time.Duration(random.IntN(1500))*time.Millisecond, func() { _ = w.Append(context.Background(), finished(row)) })
			<-time.After(time.Duration(random.IntN(20)) * time.Millisecond)
			if random.IntN(40) > 0 {
				continue
			}
			synctest.Wait()
			missing := slices.DeleteFunc(slices.Clone(made), func(row authsvc.Entry) bool { return w.service.status(row.ID) >= 0 })
			left := w.left(t)
			for _, row := range missing {
				if left.status(row.ID) < 0 {
					t.Errorf("a kill would lose the row %v", row.ID)
				}
			}
		}
	})
}
