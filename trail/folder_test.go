package trail

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
)

// TestAFolderThatCannotBeWrittenRefusesAndRecovers has the folder away for two minutes, as a disk that is unmounted and
// mounted again.
func TestAFolderThatCannotBeWrittenRefusesAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir()+"/trail", &logService{})
		w.run(t)
		rows := calls(4)
		w.append(t, rows[0])
		pass(2 * linger)
		move(t, w.dir, w.dir+".away")
		// It may be taken before a sync has noticed, and is not lost then.
		_ = w.Append(t.Context(), rows[1])
		pass(linger)
		refused := 0
		for range 120 {
			pass(time.Second)
			if err := w.Append(t.Context(), rows[2]); reasonOf(err) != fault.TrailFailed {
				t.Fatalf("without its folder Append answers %v", err)
			}
			refused++
		}
		if w.Writable() == nil || w.Full() {
			t.Errorf("without its folder Writable is %v, and Full %v", w.Writable(), w.Full())
		}
		if lines, _ := w.book.logged(refusedMessage, "rows"); lines < 1 || lines > 3 {
			t.Errorf("in two minutes the log has %d lines of it, after %d refusals", lines, refused)
		}
		w.expectMetrics(t, map[string]float64{"refused_records_total": float64(refused)})
		move(t, w.dir+".away", w.dir)
		pass(linger)
		w.append(t, rows[3])
		if err := w.Writable(); err != nil {
			t.Errorf("with its folder Writable is %v", err)
		}
		pass(longestWait)
		for i, want := range []int{0, 0, -1, 0} {
			if status := w.service.status(rows[i].ID); status != want {
				t.Errorf("row %d has status %d, want %d", i, status, want)
			}
		}
		w.expectMetrics(t, map[string]float64{"waiting_bytes": 0})
	})
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
