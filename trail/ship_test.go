package trail

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

func TestCallThatEndsWithinTheLingerCostsOneRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		w.run(t)
		row := calls(1)[0]
		w.append(t, row)
		pass(linger - 2*time.Millisecond)
		w.expect(t, "before the linger is over", 0)
		w.append(t, finished(row))
		pass(2 * time.Millisecond)
		w.expect(t, "when the linger is over", 1, 1)
		if got := w.service.status(row.ID); got != 200 {
			t.Errorf("the row has status %d, want 200", got)
		}
	})
}

func TestRowsOfOneCallMayComeInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		w.run(t)
		rows := calls(2)
		w.append(t, finished(rows[0]), rows[0], rows[1])
		pass(linger)
		w.expect(t, "after the first linger", 2, 2)
		w.append(t, rows[0], finished(rows[1]))
		pass(linger)
		w.expect(t, "after the second linger", 2, 2, 2)
		for _, row := range rows {
			if got := w.service.status(row.ID); got != 200 {
				t.Errorf("a row has status %d, want 200", got)
			}
		}
	})
}

func TestRecordsOfOneCallMergeFarApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		w.run(t)
		rows := calls(3 * batchRows)
		w.append(t, rows...)
		w.append(t, finished(rows[0]), finished(rows[2*batchRows]))
		pass(linger)
		w.expect(t, "after the linger", 3*batchRows, batchRows, batchRows, batchRows)
		for _, i := range []int{0, 2 * batchRows} {
			if got := w.service.status(rows[i].ID); got != 200 {
				t.Errorf("row %d has status %d, want 200", i, got)
			}
		}
	})
}

func TestBacklogIsShippedWithoutLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		const count = windowRecords + 500
		for range 4 {
			w.append(t, calls(count/4)...)
		}
		w.run(t)
		pass(linger)
		if rows, batches, _ := w.service.state(); rows != count || slices.Max(batches) != batchRows {
			t.Errorf("after one linger %d of %d rows have arrived, in batches of up to %d", rows, count, slices.Max(batches))
		}
		w.append(t, calls(1)...)
		pass(linger - time.Millisecond)
		if rows, _, _ := w.service.state(); rows != count {
			t.Error("caught up, a row is sent before the linger is over")
		}
	})
}

// TestWindowOfReportedCallsIsSentInFullBatchesAtOnce has two records of each call.
func TestWindowOfReportedCallsIsSentInFullBatchesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{respond: slow(linger)})
		rows := calls(maxInFlight * batchRows)
		both := make([]authsvc.Entry, 0, 2*len(rows))
		for _, row := range rows {
			both = append(both, row, finished(row))
		}
		w.append(t, both...)
		w.run(t)
		pass(3 * linger)
		w.expect(t, "of one window", len(rows), slices.Repeat([]int{batchRows}, maxInFlight)...)
		if _, most := w.service.inFlight(); most != maxInFlight {
			t.Errorf("up to %d batches were in flight, want %d", most, maxInFlight)
		}
	})
}

// TestWindowIsReleasedWhenAllOfItIsAcknowledged acknowledges the batches out of order, and checks each time what a kill would
// leave.
func TestWindowIsReleasedWhenAllOfItIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := calls(6 * batchRows)
		gates := map[string]chan struct{}{}
		for i := 0; i < len(rows); i += batchRows {
			gates[rows[i].ID.String()] = make(chan struct{})
		}
		w := start(t, t.TempDir(), &logService{respond: func(ctx context.Context, batch []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
			select {
			case <-gates[batch[0].GetRequestLog().GetId()]:
			case <-ctx.Done():
			}
			return nil, ctx.Err()
		}})
		w.run(t)
		w.append(t, rows...)
		pass(linger)
		if now, most := w.service.inFlight(); now != maxInFlight || most != maxInFlight {
			t.Errorf("%d batches are in flight, up to %d were, want %d", now, most, maxInFlight)
		}
		for done, i := range []int{3, 2, 1, 5, 4} {
			close(gates[rows[i*batchRows].ID.String()])
			pass(0)
			if arrived, _, _ := w.service.state(); arrived != (done+1)*batchRows {
				t.Fatalf("%d rows have arrived, want %d", arrived, (done+1)*batchRows)
			}
			if left, _, _ := w.left(t).state(); left != len(rows) {
				t.Errorf("with the first batch and %d others unanswered, a kill would leave %d rows of %d", 4-done, left, len(rows))
			}
		}
		close(gates[rows[0].ID.String()])
		pass(0)
		if left, _, _ := w.left(t).state(); left != 0 {
			t.Errorf("with all batches answered, a kill would leave %d rows", left)
		}
		if _, most := w.service.inFlight(); most != maxInFlight {
			t.Errorf("up to %d batches were in flight, want %d", most, maxInFlight)
		}
	})
}

// longest returns the longest record that the contract allows, with an endpoint shorter by less bytes.
func longest(less int) *logsv1.RequestLogRecord {
	id := uuid7.New(time.Now())
	return newRecord(authsvc.Entry{
		ID: id, WorkspaceID: strings.Repeat("w", 63), KeyID: id, KeyName: strings.Repeat("🙂", 100), KeyLast4: "abcd",
		ExternalID: strings.Repeat("x", 255), AgentType: strings.Repeat("t", 63), AgentID: strings.Repeat("🙂", 255),
		Method: strings.Repeat("M", 32), Endpoint: strings.Repeat("e", 2048-less), Status: 599,
		ErrorCode: authsvc.ErrorCode(strings.Repeat("c", 63)), Cause: authsvc.Cause(strings.Repeat("c", 63)), Reported: true,
		Latency: 24*time.Hour - time.Microsecond, CallCount: 1<<31 - 1, FromReport: true,
	})
}

func TestBatchesFitAMessageAndHoldEveryRowInOrder(t *testing.T) {
	short := newRecord(calls(1)[0])
	type batchCase struct {
		record      *logsv1.RequestLogRecord
		count, want int
	}
	cases := map[string]batchCase{
		"none": {short, 0, 0}, "one": {short, 1, 1}, "just one batch": {short, batchRows, 1}, "one more": {short, batchRows + 1, 2},
	}
	for less := range 16 { // one of these lengths fills a message to its last bytes
		record := longest(less)
		full := batchBytes / (proto.Size(record) + recordOverhead)
		cases[fmt.Sprint("a batch of long ones less ", less)] = batchCase{record, full, 1}
		cases[fmt.Sprint("long ones less ", less)] = batchCase{record, 2*full + 1, 3}
	}
	for name, tt := range cases {
		rows, want := make([]row, tt.count), make([]*logsv1.RequestLogRecord, tt.count)
		for i := range rows {
			want[i] = proto.CloneOf(tt.record)
			rows[i].record = want[i]
		}
		cut := batches(rows)
		if len(cut) != tt.want || !slices.Equal(slices.Concat(cut...), want) {
			t.Errorf("%s: %d rows in %d batches, want %d in %d", name, len(slices.Concat(cut...)), len(cut), tt.count, tt.want)
		}
		for _, batch := range cut {
			if size := proto.Size(&logsv1.RecordRequestLogsRequest{Records: batch}); len(batch) > batchRows || size > batchBytes {
				t.Errorf("%s: a batch of %d rows and %d bytes", name, len(batch), size)
			}
		}
	}
}

// TestLingerIsWholeAfterABusyOne has a second record come within the linger of a first: its arrival must not
// begin the linger of the next window.
func TestLingerIsWholeAfterABusyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, t.TempDir(), &logService{})
		w.run(t)
		w.append(t, calls(1)...)
		pass(linger / 2)
		w.append(t, finished(calls(1)[0]))
		pass(linger)
		row := calls(1)[0]
		w.append(t, row)
		pass(linger - time.Millisecond)
		w.expect(t, "before its linger is over", 2, 2)
		pass(time.Millisecond)
		w.expect(t, "when it is over", 3, 2, 1)
	})
}
