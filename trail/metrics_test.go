package trail

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// metricsNow returns all metrics of the trail by name, without keytrail_trail_; of a histogram, the count.
func (w *fixture) metricsNow(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		m := family.GetMetric()[0]
		values[strings.TrimPrefix(family.GetName(), "keytrail_trail_")] =
			m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return values
}

func (w *fixture) expectMetrics(t *testing.T, want map[string]float64) {
	t.Helper()
	got := w.metricsNow(t)
	for name, value := range want {
		if v, ok := got[name]; !ok || math.Abs(v-value) > 0.002 {
			t.Errorf("%s is %v, want %v", name, v, value)
		}
	}
}

// TestMetricsCountAHistory sends a batch that fails twice, of which one row is refused then.
func TestMetricsCountAHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := calls(10)
		away := failing(2, status.Error(codes.Unavailable, "away"))
		w := start(t, t.TempDir(), &logService{respond: func(ctx context.Context, batch []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			if _, err := away(ctx, batch); err != nil {
				return nil, err
			}
			return refuseRow(rows[3].ID, "too old")(ctx, batch)
		}})
		w.expectMetrics(t, map[string]float64{
			"appended_records_total": 0, "refused_records_total": 0, "uncertain_records_total": 0, "folded_records_total": 0, "shipped_rows_total": 0,
			"dead_lettered_rows_total": 0, "damaged_bytes_total": 0, "waiting_bytes": 0, "oldest_record_age_seconds": 0, "fsync_seconds": 0,
			"limit_bytes": 1 << 30, "stalled_seconds": 0,
		})
		stop := w.run(t)
		w.append(t, rows...)
		w.append(t, finished(rows[0]), finished(rows[1]))
		bytes := float64(w.wal.BacklogBytes())
		pass(linger / 2)
		w.expectMetrics(t, map[string]float64{
			"appended_records_total": 12, "folded_records_total": 0, "shipped_rows_total": 0, "waiting_bytes": bytes,
			"oldest_record_age_seconds": 0.5,
		})
		if syncs := w.metricsNow(t)["fsync_seconds"]; syncs < 1 || syncs > 2 {
			t.Errorf("two appends were synced %v times", syncs)
		}
		if bytes < 12*60 {
			t.Errorf("12 records wait on %v bytes", bytes)
		}
		pass(linger/2 + minBackoff/4) // the first attempt has failed
		w.expectMetrics(t, map[string]float64{
			"folded_records_total": 0, "shipped_rows_total": 0, "waiting_bytes": bytes, "oldest_record_age_seconds": 1.025,
		})
		pass(3 * minBackoff)
		shipped := map[string]float64{
			"appended_records_total": 12, "refused_records_total": 0, "folded_records_total": 2, "shipped_rows_total": 9,
			"dead_lettered_rows_total": 1, "damaged_bytes_total": 0, "waiting_bytes": 0, "oldest_record_age_seconds": 0,
		}
		w.expectMetrics(t, shipped)
		pass(time.Minute)
		w.expectMetrics(t, shipped)
		stop()
		w.expectMetrics(t, shipped)
	})
}

// TestNothingIsCountedTwiceAtShutdown ends a Run while one of two batches is stored and the other is not.
func TestNothingIsCountedTwiceAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := calls(batchRows + 10)
		away := failing(1, status.Error(codes.Unavailable, "away"))
		w := start(t, t.TempDir(), &logService{respond: func(ctx context.Context, batch []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			if len(batch) < batchRows {
				return away(ctx, batch)
			}
			return refuseRow(rows[3].ID, "too old")(ctx, batch)
		}})
		stop := w.run(t)
		w.append(t, rows...)
		w.append(t, finished(rows[0]))
		pass(linger) // the long batch is stored, the short one waits for its second attempt
		stop()
		w.expect(t, "at the end", batchRows+9, batchRows, 10)
		w.expectMetrics(t, map[string]float64{
			"folded_records_total": 1, "shipped_rows_total": batchRows + 9, "dead_lettered_rows_total": 1, "waiting_bytes": 0,
		})
	})
}

// TestAgeIsZeroWhereNoneWaits has a second record come within the linger of the first: it arrives when the
// window is already being read.
func TestAgeIsZeroWhereNoneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		w.run(t)
		w.append(t, calls(1)...)
		pass(linger / 2)
		w.append(t, finished(calls(1)[0]))
		pass(10 * linger)
		w.expect(t, "long after", 2, 2)
		w.expectMetrics(t, map[string]float64{"oldest_record_age_seconds": 0})
	})
}

// TestAgeIsReportedWhileNothingCanBeRead replaces the second segment by a directory.
func TestAgeIsReportedWhileNothingCanBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := limited(t, &logService{})
		w.append(t, wide(500)...)
		w.append(t, wide(500)...)
		segments, err := filepath.Glob(filepath.Join(w.dir, "*.seg"))
		if err != nil || len(segments) != 2 {
			t.Fatalf("segments %q, %v", segments, err)
		}
		away := filepath.Join(t.TempDir(), "away")
		if err := errors.Join(os.Rename(segments[1], away), os.Mkdir(segments[1], 0o700)); err != nil {
			t.Fatal(err)
		}
		w.run(t)
		pass(10 * linger)
		w.expect(t, "of the first segment", 500, 500)
		w.expectMetrics(t, map[string]float64{"oldest_record_age_seconds": 10})
		if err := errors.Join(os.Remove(segments[1]), os.Rename(away, segments[1])); err != nil {
			t.Fatal(err)
		}
		pass(linger)
		w.expect(t, "of both", 1000, 500, 500)
		w.expectMetrics(t, map[string]float64{"oldest_record_age_seconds": 0})
	})
}
