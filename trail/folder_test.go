package trail

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytrail/keytrail/internal/fault"
)

// TestAFolderThatCannotBeWrittenRefusesAndRecovers moves the directory away for two minutes.
func TestAFolderThatCannotBeWrittenRefusesAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir()+"/trail", &logService{})
		w.run(t)
		rows := calls(2)
		move(t, w.dir, w.dir+".away")
		refused := 0
		for range 120 {
			pass(time.Second)
			if err := w.Append(t.Context(), rows[0]); reasonOf(err) != fault.TrailFailed {
				t.Fatalf("without its folder Append returns %v", err)
			}
			refused++
		}
		if w.Writable() == nil || w.Full() {
			t.Errorf("without its folder Writable is %v, and Full %v", w.Writable(), w.Full())
		}
		if lines, _ := w.book.logged(rejectedMessage, "rows"); lines < 1 || lines > 3 {
			t.Errorf("in two minutes the log has %d lines of it, after %d refusals", lines, refused)
		}
		w.expectMetrics(t, map[string]float64{"refused_records_total": float64(refused)})
		move(t, w.dir+".away", w.dir)
		pass(linger)
		w.append(t, rows[1])
		if err := w.Writable(); err != nil {
			t.Errorf("with its folder Writable is %v", err)
		}
		pass(maxBackoff)
		for i, want := range []int{-1, 0} {
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
