package trail

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/trail/journal"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

func TestFoldMakesOneRowOfACall(t *testing.T) {
	progress := calls(1)[0].Proto()
	ok, failed := proto.CloneOf(progress), proto.CloneOf(progress)
	ok.Status, failed.Status = 200, 500
	for name, tt := range map[string]struct{ a, b, want *logsv1.RequestLog }{
		"progress, then the end":         {progress, ok, ok},
		"the end, then progress":         {ok, progress, ok},
		"progress twice":                 {progress, proto.CloneOf(progress), progress},
		"two ends: the first one stays":  {failed, ok, failed},
		"the same end twice":             {ok, proto.CloneOf(ok), ok},
		"two other ends: the first, too": {ok, failed, ok},
	} {
		if got := fold(tt.a, tt.b); !proto.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// leave puts records into the trail's folder, as another program might.
func leave(t *testing.T, dir string, records ...[]byte) {
	t.Helper()
	j, err := journal.Open(journal.Options{
		Dir: dir, MaxBytes: 1 << 30, Fsync: time.Second, Log: slog.New(slog.DiscardHandler),
		Damaged: func(int64) {}, Synced: func(time.Duration) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

const strayMessage = "records of the trail are no request logs and are passed over"

func TestRecordThatIsNoRowIsPassedOverAndTold(t *testing.T) {
	for name, good := range map[string][]authsvc.Entry{"among rows": calls(3), "alone": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, stray := t.TempDir(), []byte{0xff, 0xff, 0xff}
				records := [][]byte{stray, stray}
				for _, row := range good {
					record, err := proto.Marshal(row.Proto())
					if err != nil {
						t.Fatal(err)
					}
					records = append(records, record)
				}
				leave(t, dir, append(records, stray)...)
				w := start(t, dir, &logService{})
				stop := w.run(t)
				pass(linger)
				if rows, _, _ := w.service.state(); rows != len(good) {
					t.Errorf("%d rows have arrived, want %d", rows, len(good))
				}
				if waiting := w.journal.Waiting(); waiting != 0 {
					t.Errorf("%d bytes wait", waiting)
				}
				w.expectMetrics(t, map[string]float64{"damaged_bytes_total": 9, "folded_records_total": 0})
				stop()
				if lines, records := w.book.logged(strayMessage, "records"); lines != 2 || records != 3 {
					t.Errorf("%d lines tell of %d records, want one at once and one at the end, of 3", lines, records)
				}
			})
		})
	}
}

// TestSegmentWithoutAnyRecordDoesNotWaitForever leaves what a crash in the very first write leaves.
func TestSegmentWithoutAnyRecordDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		segment := filepath.Join(dir, "0000000000000001-00000000.seg")
		if err := os.WriteFile(segment, []byte("KTR1 torn"), 0o600); err != nil {
			t.Fatal(err)
		}
		w := start(t, dir, &logService{})
		w.run(t)
		pass(linger)
		if waiting := w.journal.Waiting(); waiting != 0 {
			t.Errorf("%d bytes wait that nobody can ship", waiting)
		}
		if _, err := os.Stat(segment); err == nil {
			t.Error("the segment is still there")
		}
		w.expectMetrics(t, map[string]float64{"damaged_bytes_total": 9, "oldest_record_age_seconds": 0, "waiting_bytes": 0})
	})
}
