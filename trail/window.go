package trail

import (
	"fmt"
	"time"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/trail/wal"
)

// Limits of a window: 8 MiB hold about 40,000 records of 200 bytes, which take about 30 MB of memory.
const (
	// Twice what can be in flight, because the check and the report of a call make one row.
	windowRecords = 2 * maxInFlight * batchRows
	windowBytes   = 8 << 20
)

// window is a part of the trail that is read, merged, sent and released together.
type window struct {
	rows  []row
	index map[rowKey]int // of rows
	// records is how many records were read, merged how many of them were merged into the row of another.
	records, merged int
	// first is when the oldest record was appended.
	first time.Time
	// end is the position to release once the rows are stored.
	end wal.Position
	// more is set when there may be more to read at once.
	more bool
}

// row is a row with what is known of its first record.
type row struct {
	record   *logsv1.RequestLogRecord
	appended time.Time
	// before is the position before the first record.
	before wal.Position
	// deferred is set when the row was deferred from the window before.
	deferred bool
}

// rowKey identifies a row. The same id may exist in several workspaces.
type rowKey struct{ workspaceID, id string }

func keyOf(record *logsv1.RequestLogRecord) rowKey {
	return rowKey{record.GetRequestLog().GetWorkspaceId(), record.GetRequestLog().GetId()}
}

// readWindow reads the next window, which begins with the deferred rows.
func (s *shipper) readWindow() (*window, error) {
	w, bytes := &window{index: map[rowKey]int{}}, 0
	for _, r := range s.deferred {
		r.deferred = true
		w.add(r)
	}
	for !w.more {
		before := s.reader.Position()
		record, ok, err := s.reader.Next()
		if err != nil && len(w.rows) == 0 && w.records == 0 {
			return nil, fmt.Errorf("read the trail: %w", err)
		}
		if err != nil || !ok {
			// What was read before the error is shipped; the next window returns the error.
			w.more = err != nil
			break
		}
		bytes += len(record.Payload)
		w.records++
		w.more = w.records >= windowRecords || bytes >= windowBytes
		message, err := parseRecord(record.Payload)
		if err != nil {
			// The checksum is right, so it was written like this and cannot be read later either.
			s.metrics.damaged.Add(float64(len(record.Payload)))
			s.logMalformed.Do(func() {
				s.log.Error("record on the trail is not a request log; skipped", "appended", record.Time, "bytes", len(record.Payload), "error", err)
			})
			continue
		}
		w.add(row{record: message, appended: record.Time, before: before})
	}
	w.end, s.deferred = s.reader.Position(), nil
	return w, nil
}

// add adds a row to the window, or merges it with the row of the same key.
func (w *window) add(r row) {
	if w.first.IsZero() {
		w.first = r.appended
	}
	key := keyOf(r.record)
	if i, known := w.index[key]; known {
		w.merged++
		w.rows[i].record = mergeRecords(w.rows[i].record, r.record)
		return
	}
	w.index[key] = len(w.rows)
	w.rows = append(w.rows, r)
}

// deferInProgress moves calls in progress to the next window, where their report is if the call is shorter than linger:
// then the log service stores one row instead of two. A row is deferred once, and none is while there is a backlog or the
// trail drains. Deferred rows, and everything behind the first of them, are not released.
func (s *shipper) deferInProgress(w *window) {
	if w.more || s.isDraining() {
		return
	}
	now, rows := time.Now(), w.rows
	w.rows = nil
	for _, r := range rows {
		if rank(r.record.GetRequestLog()) == 0 && !r.deferred && now.Sub(r.appended) < linger {
			s.deferred = append(s.deferred, r)
		} else {
			w.rows = append(w.rows, r)
		}
	}
	if len(s.deferred) > 0 {
		w.end = s.deferred[0].before
	}
}
