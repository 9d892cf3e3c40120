package trail

import (
	"bufio"
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// letter is a line of the dead-letter file.
type letter struct {
	Time       time.Time
	Reason     string
	Message    string
	RequestLog json.RawMessage
	FromReport bool
}

// row is the letter's row.
func (l letter) row(t *testing.T) *logsv1.RequestLog {
	t.Helper()
	row := &logsv1.RequestLog{}
	if err := protojson.Unmarshal(l.RequestLog, row); err != nil {
		t.Fatal(err)
	}
	return row
}

// letters reads the dead-letter file, whole.
func (w *fixture) letters(t *testing.T) (letters []letter) {
	t.Helper()
	text, err := os.ReadFile(w.deadLetters.path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Error("the dead-letter file ends within a line")
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var l letter
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		letters = append(letters, l)
	}
	return letters
}

// expectLetters compares the dead letters with ids and reasons.
func (w *fixture) expectLetters(t *testing.T, want map[string]string) {
	t.Helper()
	got, letters := map[string]string{}, w.letters(t)
	for _, l := range letters {
		got[l.row(t).GetId()] = stdcmp.Or(l.Message, l.Reason)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(letters) != len(want) {
		t.Errorf("%d dead letters (-want +got):\n%s", len(letters), diff)
	}
}

func TestRefusedRowIsSetAsideWholeAndTheOthersAreStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := calls(3)
		rows[1].Endpoint, rows[1].KeyName, rows[1].ExternalID = `/a"<b>\é`, "line\nbreak", "tenant 7"
		rows[1].Status, rows[1].ErrorCode, rows[1].Cause = 403, authsvc.AgentDenied, authsvc.NoAgent
		rows[1].Reported, rows[1].Latency = true, 1500*time.Microsecond
		w := start(t, t.TempDir(), &logService{respond: refuseRow(rows[1].ID, `endpoint: "<b>" is `+"not\nto be")})
		w.run(t)
		w.append(t, rows...)
		pass(linger)
		refusedAt := time.Now()
		w.expect(t, "refused by itself", 2, 3)
		letters := w.letters(t)
		if len(letters) != 1 {
			t.Fatalf("%d dead letters", len(letters))
		}
		want := newRecord(rows[1]).GetRequestLog()
		want.Time = timestamppb.New(uuid7.Time(rows[1].ID))
		if diff := cmp.Diff(want, letters[0].row(t), protocmp.Transform()); diff != "" {
			t.Errorf("the row (-sent +set aside):\n%s", diff)
		}
		if l := letters[0]; l.Reason != `endpoint: "<b>" is `+"not\nto be" || !l.Time.Equal(refusedAt) {
			t.Errorf("the letter is of %v: %q", l.Time, l.Reason)
		}
		info, err := os.Stat(w.deadLetters.path())
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("the file can be used like %v", info.Mode())
		}
		if lines, told := w.book.logged(deadLetterMessage, "rows"); lines != 1 || told != 1 {
			t.Errorf("%d lines tell of %d rows", lines, told)
		}
	})
}

func TestLetterSaysThatItsRowIsFromAReport(t *testing.T) {
	for _, fromReport := range []bool{false, true} {
		record := newRecord(calls(1)[0])
		record.FromReport = fromReport
		line, err := deadLetter{record: record, reason: "old"}.line(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var l letter
		if err := json.Unmarshal(line, &l); err != nil || l.FromReport != fromReport || bytes.Contains(line, []byte("fromReport")) != fromReport {
			t.Errorf("from a report: %v, the line is %s, %v", fromReport, line, err)
		}
	}
}

// TestRowWithATimeThatJSONCannotHoldIsSetAside has an id of the year 10889, which the log service refuses permanently.
func TestRowWithATimeThatJSONCannotHoldIsSetAside(t *testing.T) {
	record := newRecord(calls(1)[0])
	record.RequestLog.Id = "ffffffff-ffff-7fff-bfff-ffffffffffff"
	line, err := deadLetter{record: record, reason: "too_new", message: "more than a day in the future"}.line(time.Now())
	if err != nil || !bytes.Contains(line, []byte(record.GetRequestLog().GetId())) {
		t.Errorf("the line is %s, %v", line, err)
	}
}

func TestRowThatIsNotUTF8IsAnErrorAndWritesNothing(t *testing.T) {
	dead := &deadLetters{dir: t.TempDir(), resized: func(int64) {}}
	good, bad := newRecord(calls(1)[0]), newRecord(calls(1)[0])
	bad.RequestLog.Endpoint = "/\xff"
	if err := dead.write(time.Now(), []deadLetter{{good, "too_old", "old"}, {bad, "too_old", "old"}}); err == nil {
		t.Error("it is written")
	}
	if _, err := os.Stat(dead.path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}

func TestDeadLettersMayBeMovedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := calls(2)
		service := &logService{respond: refuseRow(rows[0].ID, "first")}
		w := start(t, t.TempDir(), service)
		w.run(t)
		w.append(t, rows[0])
		pass(linger)
		w.expectLetters(t, map[string]string{rows[0].ID.String(): "first"})
		if err := os.Rename(w.deadLetters.path(), w.deadLetters.path()+".old"); err != nil {
			t.Fatal(err)
		}
		service.respond = refuseRow(rows[1].ID, "second")
		w.append(t, rows[1])
		pass(linger)
		w.expectLetters(t, map[string]string{rows[1].ID.String(): "second"})
	})
}

// TestDeadLetterBeginsItsOwnLine finds what a crash of the machine left.
func TestDeadLetterBeginsItsOwnLine(t *testing.T) {
	dead := &deadLetters{dir: t.TempDir(), resized: func(int64) {}}
	if err := os.WriteFile(dead.path(), []byte(`{"half`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := dead.write(time.Now(), []deadLetter{{newRecord(calls(1)[0]), "too_old", "old"}}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(dead.path())
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(text, []byte("\n"))
	if len(lines) != 4 || !json.Valid(lines[1]) || !json.Valid(lines[2]) || len(lines[3]) != 0 {
		t.Errorf("the file is\n%s", text)
	}
}

func TestNothingIsReleasedWhileDeadLettersCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := calls(3)
		w := start(t, t.TempDir(), &logService{respond: refuseRow(rows[1].ID, "old")})
		if err := os.Mkdir(w.deadLetters.path(), 0o700); err != nil {
			t.Fatal(err)
		}
		w.run(t)
		w.append(t, rows...)
		pass(time.Minute)
		w.expectMetrics(t, map[string]float64{"shipped_rows_total": 0, "dead_lettered_rows_total": 0, "oldest_record_age_seconds": 60})
		if lines, _ := w.book.logged(retryMessage, "bytes"); lines != 1 {
			t.Errorf("in a minute the log has %d lines of it", lines)
		}
		if rows, _, _ := w.left(t).state(); rows != 3 {
			t.Errorf("a kill would leave %d rows, want all 3", rows)
		}
		if err := os.Remove(w.deadLetters.path()); err != nil {
			t.Fatal(err)
		}
		pass(maxBackoff)
		w.expectLetters(t, map[string]string{rows[1].ID.String(): "old"})
		w.expectMetrics(t, map[string]float64{"shipped_rows_total": 2, "dead_lettered_rows_total": 1, "waiting_bytes": 0})
	})
}
