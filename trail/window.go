package trail

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/trail/wal"
)

// The most that one window takes: what is read, merged, sent and released together.
const (
	windowRecords = 16_384
	windowBytes   = 8 << 20
)

// window is a stretch of the trail with the rows that its records make.
type window struct {
	rows    []row
	records int
	// folded is how many of them made no row of their own.
	folded int
	// first is when the oldest record was appended.
	first time.Time
	// end is the place up to which everything is done with once the rows are stored.
	end wal.Position
	// more tells that the window was full: there are more records behind it.
	more bool
}

// row is a row, as a record, with what is known of its first one.
type row struct {
	record *logsv1.RequestLogRecord
	// appended is when that was, and before the place before it.
	appended time.Time
	before   wal.Position
	// held tells that it has come from the window before.
	held bool
}

// rowKey names a row: another workspace may use the same id.
type rowKey struct{ workspaceID, id string }

func keyOf(record *logsv1.RequestLogRecord) rowKey {
	return rowKey{record.GetRequestLog().GetWorkspaceId(), record.GetRequestLog().GetId()}
}

var errNoRow = errors.New("it has no request log")

// gather reads the next window. The records of one id and workspace make one row, with those that are held.
func (s *shipper) gather() (*window, error) {
	w, at, bytes := &window{}, map[rowKey]int{}, 0
	for _, r := range s.held {
		r.held = true
		w.put(at, r)
	}
	for {
		if w.records >= windowRecords || bytes >= windowBytes {
			w.more = true
			break
		}
		before := s.reader.Position()
		record, ok, err := s.reader.Next()
		if err != nil && len(w.rows) == 0 && w.records == 0 {
			return nil, fmt.Errorf("read the trail: %w", err)
		}
		if err != nil || !ok {
			// What was read before the error is shipped; the next window begins with the error.
			w.more = err != nil
			break
		}
		bytes += len(record.Payload)
		w.records++
		s.add(w, at, record, before)
	}
	w.end, s.held = s.reader.Position(), nil
	return w, nil
}

// add puts a record into a window; at says which row each key has.
func (s *shipper) add(w *window, at map[rowKey]int, record wal.Record, before wal.Position) {
	r := row{record: &logsv1.RequestLogRecord{}, appended: record.Time, before: before}
	err := proto.Unmarshal(record.Payload, r.record)
	if err == nil && r.record.GetRequestLog() == nil {
		err = errNoRow
	}
	if err != nil {
		// It is what was written, so no later attempt can do better.
		s.metrics.damaged.Add(float64(len(record.Payload)))
		s.strays.add(1, fmt.Errorf("read a record of %v, %d bytes: %w", record.Time, len(record.Payload), err))
		return
	}
	w.put(at, r)
}

// put makes a row one of the window's, or part of one.
func (w *window) put(at map[rowKey]int, r row) {
	if w.first.IsZero() {
		w.first = r.appended
	}
	key := keyOf(r.record)
	if i, known := at[key]; known {
		w.folded++
		w.rows[i].record = mergeRecords(w.rows[i].record, r.record)
		return
	}
	at[key] = len(w.rows)
	w.rows = append(w.rows, r)
}

// hold keeps the calls back that are under way, for the next window, where the report of every call is that is shorter
// than the linger. It does so once: a row that was held goes, and all do where a backlog waits, or the drain has
// begun. What is held is not released, nor what stands behind it.
func (s *shipper) hold(w *window) {
	if w.more || s.draining() {
		return
	}
	now, rows := time.Now(), w.rows
	w.rows = nil
	for _, r := range rows {
		if rank(r.record.GetRequestLog()) == 0 && !r.held && now.Sub(r.appended) < linger {
			s.held = append(s.held, r)
		} else {
			w.rows = append(w.rows, r)
		}
	}
	if len(s.held) > 0 {
		w.end = s.held[0].before
	}
}

// draining tells whether the drain has begun.
func (s *shipper) draining() bool {
	select {
	case <-s.ending:
		return true
	default:
		return false
	}
}
