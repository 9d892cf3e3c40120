package trail

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/trail/wal"
)

func TestRowsOfOneIDInTwoWorkspacesStayTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		w.run(t)
		ours := calls(1)[0]
		tnexts := finished(ours)
		tnexts.WorkspaceID = "globex"
		w.append(t, ours, tnexts)
		pass(linger)
		w.expect(t, "of two workspaces", 2, 2)
		if status := w.service.status(ours.ID); status != 0 {
			t.Errorf("the call in progress has the status %d of another workspace", status)
		}
	})
}

// TestReportAndCheckMakeOneRow appends the records of one call in both orders, together and in two windows.
func TestReportAndCheckMakeOneRow(t *testing.T) {
	for _, apart := range []time.Duration{0, 3 * linger} {
		for _, reportFirst := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, t.TempDir(), &logService{})
				w.run(t)
				check := calls(1)[0]
				check.Status, check.ErrorCode, check.Cause, check.CallCount = 403, authsvc.AgentDenied, authsvc.NoAgent, 1
				report := check
				report.Endpoint = "/v1" // a report token may cut it
				report.Status, report.Reported, report.Latency, report.FromReport = 404, true, 12*time.Millisecond, true
				want := check
				want.Status, want.Reported, want.Latency = report.Status, true, report.Latency
				appended := []authsvc.Entry{check, report}
				if reportFirst {
					slices.Reverse(appended)
				}
				w.append(t, appended[0])
				pass(apart)
				w.append(t, appended[1])
				pass(2 * linger)
				if diff := cmp.Diff(newRecord(want), w.service.row(check.ID), protocmp.Transform()); diff != "" {
					t.Errorf("report first: %v, apart: %v (-want +got):\n%s", reportFirst, apart, diff)
				}
			})
		}
	}
}

// TestUnknownFieldsAndCodesArePreserved has codes and fields that this release does not know.
func TestUnknownFieldsAndCodesArePreserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		word := strings.Repeat("z_9", 21)
		check := calls(1)[0]
		check.Status, check.ErrorCode, check.Cause, check.AgentType = 451, authsvc.ErrorCode(word), authsvc.Cause(word), word
		want := newRecord(check)
		for _, m := range []proto.Message{want, want.GetRequestLog()} {
			unknown := protowire.AppendTag(nil, 1000, protowire.BytesType)
			m.ProtoReflect().SetUnknown(protowire.AppendString(unknown, "of a later release"))
		}
		record, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		leave(t, dir, record)
		w := start(t, dir, &logService{})
		written := check
		written.ID = uuid7.New(time.Now())
		w.append(t, check, finished(check), written)
		w.run(t)
		pass(linger)
		want.RequestLog.Status, want.RequestLog.LatencyMs = 200, proto.Float64(0)
		if diff := cmp.Diff(want, w.service.row(check.ID), protocmp.Transform()); diff != "" {
			t.Errorf("read and merged (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(newRecord(written), w.service.row(written.ID), protocmp.Transform()); diff != "" {
			t.Errorf("written (-want +got):\n%s", diff)
		}
	})
}

// leave writes records to a trail.
func leave(t *testing.T, dir string, records ...[]byte) {
	t.Helper()
	j, err := wal.Open(wal.Options{
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

const malformedMessage = "record on the trail is not a request log; skipped"

func TestMalformedRecordIsSkippedAndLogged(t *testing.T) {
	for name, good := range map[string][]authsvc.Entry{"among rows": calls(3), "alone": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, stray, rowless := t.TempDir(), []byte{0xff, 0xff, 0xff}, []byte{0x10, 0x01}
				records := [][]byte{stray, stray}
				for _, row := range good {
					record, err := proto.Marshal(newRecord(row))
					if err != nil {
						t.Fatal(err)
					}
					records = append(records, record)
				}
				leave(t, dir, append(records, rowless)...)
				w := start(t, dir, &logService{})
				w.run(t)
				pass(linger)
				if rows, _, _ := w.service.state(); rows != len(good) {
					t.Errorf("%d rows have arrived, want %d", rows, len(good))
				}
				if waiting := w.wal.BacklogBytes(); waiting != 0 {
					t.Errorf("%d bytes wait", waiting)
				}
				w.expectMetrics(t, map[string]float64{"damaged_bytes_total": 8, "folded_records_total": 0})
				if lines, _ := w.book.logged(malformedMessage, "bytes"); lines != 1 {
					t.Errorf("3 malformed records are logged on %d lines, want 1 in a minute", lines)
				}
			})
		})
	}
}

// TestSegmentWithoutAnyRecordDoesNotWaitForever has the torn end of a crash in the first write.
func TestSegmentWithoutAnyRecordDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		segment := filepath.Join(dir, "0000000000000001-00000000.seg")
		if err := os.WriteFile(segment, []byte("KTR2 torn"), 0o600); err != nil {
			t.Fatal(err)
		}
		w := start(t, dir, &logService{})
		w.run(t)
		pass(linger)
		if waiting := w.wal.BacklogBytes(); waiting != 0 {
			t.Errorf("%d bytes of no record wait", waiting)
		}
		if _, err := os.Stat(segment); err == nil {
			t.Error("the segment is still there")
		}
		w.expectMetrics(t, map[string]float64{"damaged_bytes_total": 9, "oldest_record_age_seconds": 0, "waiting_bytes": 0})
	})
}
