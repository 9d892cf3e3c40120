package trail

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/trail/wal"
)

// fill appends rows until the trail is full, and returns how many it took. One row is rejected at the end.
func (w *fixture) fill(t *testing.T) (taken int) {
	t.Helper()
	for {
		err := w.Append(t.Context(), wide(100)...)
		if err == nil {
			taken += 100
			continue
		}
		for {
			err := w.Append(t.Context(), calls(1)...)
			if reasonOf(err) == fault.TrailFull {
				return taken
			}
			if err != nil {
				t.Fatal(err)
			}
			taken++
		}
	}
}

// reasonOf returns the reason of a fault, or zero.
func reasonOf(err error) fault.Reason {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Reason
	}
	return fault.Reason{}
}

// wide returns entries of about 1,500 bytes.
func wide(count int) []authsvc.Entry {
	rows := calls(count)
	for i := range rows {
		rows[i].Endpoint = strings.Repeat("e", 1400)
	}
	return rows
}

// limited returns a fixture with MaxBytes = MinBytes.
func limited(t *testing.T, service *logService) *fixture {
	t.Helper()
	w := start(t, t.TempDir(), service)
	client := w.client
	w.close(t)
	w.open(t, Config{MaxBytes: MinBytes, Fsync: time.Second, Client: client})
	return w
}

const rejectedMessage = "request logs not appended to the trail"

func TestFullTrailRefusesAndHasRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := limited(t, &logService{})
		w.append(t, calls(1)...)
		if w.Full() {
			t.Error("a trail with one row is full")
		}
		taken := 1 + w.fill(t)
		if !w.Full() || w.Writable() != nil {
			t.Errorf("a trail that refuses rows: Full is %v, Writable %v", w.Full(), w.Writable())
		}
		if waiting := w.wal.BacklogBytes(); waiting > MinBytes || waiting < MinBytes-200 {
			t.Errorf("%d bytes wait within a limit of %d", waiting, MinBytes)
		}
		w.expectMetrics(t, map[string]float64{"appended_records_total": float64(taken), "refused_records_total": 101})
		w.run(t)
		pass(linger)
		if rows, _, _ := w.service.state(); rows != taken {
			t.Errorf("%d rows arrive of %d taken", rows, taken)
		}
		if w.Full() {
			t.Error("an empty trail is full")
		}
		w.append(t, calls(1000)...)
	})
}

func TestRowsOfAnAppendAreTakenAllOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := limited(t, &logService{})
		taken := w.fill(t)
		w.run(t)
		pass(linger)
		half := wide(taken / 4)
		w.append(t, half...)
		if err := w.Append(t.Context(), wide(taken)...); reasonOf(err) != fault.TrailFull {
			t.Errorf("too many rows at once: %v", err)
		}
		pass(linger)
		if rows, _, _ := w.service.state(); rows != taken+len(half) {
			t.Errorf("%d rows arrive, want %d", rows, taken+len(half))
		}
	})
}

func TestRejectedRowsAreCountedAndLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := limited(t, &logService{})
		w.fill(t)
		reject := func(count, wantLines, wantRows int) {
			t.Helper()
			if err := w.Append(t.Context(), make([]authsvc.Entry, count)...); reasonOf(err) != fault.TrailFull {
				t.Errorf("a full trail returns %v", err)
			}
			if lines, _ := w.book.logged(rejectedMessage, "rows"); lines != wantLines {
				t.Errorf("%d log lines, want %d", lines, wantLines)
			}
			w.expectMetrics(t, map[string]float64{"refused_records_total": float64(wantRows)})
		}
		reject(4, 1, 105) // filling it had 101 rejected
		pass(logInterval - time.Second)
		reject(5, 1, 110)
		pass(time.Second)
		reject(3, 2, 113)
		reject(2, 2, 115)
	})
}

func TestAppendWhoseCallerIsGoneIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := limited(t, &logService{})
		client := w.client
		w.close(t)
		w.open(t, Config{MaxBytes: MinBytes, Client: client})
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		// The row is on the trail, or may be, or was withdrawn.
		want := map[string]float64{"appended_records_total": 0, "refused_records_total": 0, "uncertain_records_total": 0}
		switch err := w.Append(gone, calls(1)...); {
		case err == nil:
			want["appended_records_total"]++
		case errors.Is(err, wal.ErrUncertain):
			want["uncertain_records_total"]++
		case !errors.Is(err, context.Canceled):
			t.Errorf("a row whose caller is gone: %v", err)
		}
		w.expectMetrics(t, want)
		w.run(t)
		pass(linger)
		if rows, _, _ := w.service.state(); rows != int(want["appended_records_total"]+want["uncertain_records_total"]) {
			t.Errorf("%d rows have arrived, counted are %v", rows, want)
		}
		if err := w.Append(gone, make([]authsvc.Entry, 200_000)...); reasonOf(err) != fault.TrailFull {
			t.Errorf("200,000 rows of a caller who is gone: %v", err)
		}
		want["refused_records_total"] = 200_000
		w.expectMetrics(t, want)
	})
}

func TestDeadLettersCountIntoTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		row := calls(1)[0]
		w := limited(t, &logService{respond: refuseRow(row.ID, "old")})
		client := w.client
		w.close(t)
		path := filepath.Join(w.dir, deadLetterFile)
		// One more dead letter makes the trail full, one more record does not.
		almost := make([]byte, MinBytes-64<<10-150)
		almost[len(almost)-1] = '\n'
		if err := os.WriteFile(path, almost, 0o600); err != nil {
			t.Fatal(err)
		}
		w.open(t, Config{MaxBytes: MinBytes, Fsync: time.Second, Client: client})
		if w.Full() {
			t.Fatal("it is full before it should be")
		}
		w.run(t)
		w.append(t, row)
		pass(linger)
		if !w.Full() {
			t.Error("a dead letter takes no room")
		}
		for range 2 {
			for w.Append(t.Context(), calls(1)...) == nil {
			}
			pass(logInterval)
		}
		if err := w.Append(t.Context(), wide(100)...); reasonOf(err) != fault.TrailFull || !strings.Contains(err.Error(), "refused permanently") || strings.Contains(err.Error(), w.dir) {
			t.Errorf("a trail full of dead letters returns %v", err)
		}
		if text := w.book.text(rejectedMessage); !strings.Contains(text, path) {
			t.Errorf("the log does not say what fills the trail: %s", text)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		w.expectMetrics(t, map[string]float64{"dead_letter_bytes": float64(info.Size())})
		for w.Append(t.Context(), calls(1)...) == nil {
		}
		if err := os.Rename(path, path+".old"); err != nil {
			t.Fatal(err)
		}
		// The rejected append measures the file.
		if err := w.Append(t.Context(), calls(1)...); err == nil {
			t.Error("somebody has looked before")
		}
		w.append(t, calls(1)...)
		w.expectMetrics(t, map[string]float64{"dead_letter_bytes": 0})
		if err := os.Rename(path+".old", path); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFullSeesThatDeadLettersAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := limited(t, &logService{})
		client := w.client
		w.close(t)
		path := filepath.Join(w.dir, deadLetterFile)
		if err := os.WriteFile(path, make([]byte, MinBytes), 0o600); err != nil {
			t.Fatal(err)
		}
		w.open(t, Config{MaxBytes: MinBytes, Fsync: time.Second, Client: client})
		if !w.Full() {
			t.Error("dead letters of an earlier process take no room")
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if w.Full() {
			t.Error("it stays full of what is gone")
		}
	})
}

// TestEmptyTrailTakesTheLargestReport appends what one message can ask for, as often as the trail is empty.
func TestEmptyTrailTakesTheLargestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := limited(t, &logService{})
		w.run(t)
		for range 3 {
			rows := calls(1000)
			for i := range rows {
				rows[i].Endpoint, rows[i].Status = strings.Repeat("e", 4000), 200
			}
			w.append(t, rows...)
			pass(linger)
			if waiting := w.wal.BacklogBytes(); waiting != 0 {
				t.Errorf("%d bytes wait", waiting)
			}
		}
		w.expect(t, "in the end", 3000, 775, 775, 775, 225, 225, 225)
	})
}

func TestLimitHasALeast(t *testing.T) {
	if _, err := Open(Config{Dir: t.TempDir(), MaxBytes: MinBytes - 1}); err == nil {
		t.Error("a trail opens that has no room")
	}
}
