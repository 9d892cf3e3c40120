package trail

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/keytrail/keytrail/authsvc/trail/journal"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// The most that one window takes: what is read, folded, sent and released together.
const (
	windowRecords = 16_384
	windowBytes   = 8 << 20
)

// window is a stretch of the trail with the rows that its records make.
type window struct {
	rows    []*logsv1.RequestLog
	records int
	// folded is how many of them made no row of their own.
	folded int
	// first is when the oldest record was appended.
	first time.Time
	// end is the place behind it.
	end journal.Position
	// more tells that the window was full: there are more records behind it.
	more bool
}

// gather reads the next window. The records of one id make one row.
func (s *shipper) gather() (*window, error) {
	w, at, bytes := &window{}, map[string]int{}, 0
	for {
		if w.records >= windowRecords || bytes >= windowBytes {
			w.more = true
			break
		}
		record, ok, err := s.reader.Next()
		if err != nil && w.records == 0 {
			return nil, fmt.Errorf("read the trail: %w", err)
		}
		if err != nil || !ok {
			// What was read before the error is shipped; the next window begins with the error.
			w.more = err != nil
			break
		}
		bytes += len(record.Payload)
		s.add(w, at, record)
	}
	w.end = s.reader.Position()
	return w, nil
}

// add puts a record into a window; at says which row each id has.
func (s *shipper) add(w *window, at map[string]int, record journal.Record) {
	if w.records++; w.records == 1 {
		w.first = record.Time
	}
	row := &logsv1.RequestLog{}
	if err := proto.Unmarshal(record.Payload, row); err != nil {
		// It is what was written, so no later attempt can do better.
		s.metrics.damaged.Add(float64(len(record.Payload)))
		s.strays.add(1, fmt.Errorf("read a record of %v, %d bytes: %w", record.Time, len(record.Payload), err))
		return
	}
	if i, known := at[row.GetId()]; known {
		w.folded++
		w.rows[i] = fold(w.rows[i], row)
		return
	}
	at[row.GetId()] = len(w.rows)
	w.rows = append(w.rows, row)
}

// fold makes one row of two of one id, as the log service does: a finished one replaces one in progress.
func fold(a, b *logsv1.RequestLog) *logsv1.RequestLog {
	if a.GetStatus() == 0 {
		return b
	}
	return a
}
