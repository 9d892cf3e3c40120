package trail

import (
	"errors"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/trail/wal"
)

// encoders holds *encoder. Allocating messages and buffers anew would cost every check another 0.3 µs.
var encoders = sync.Pool{New: func() any { return new(encoder) }}

// encoder encodes entries as records of the contract. What encode returns is valid until free.
type encoder struct {
	record  logsv1.RequestLogRecord
	row     logsv1.RequestLog
	latency float64
	buf     []byte
	records [][]byte
}

// free makes the encoder available again. Large buffers are rare and not worth keeping.
func (enc *encoder) free() {
	if cap(enc.buf) <= wal.MaxRecord {
		encoders.Put(enc)
	}
}

func (enc *encoder) encode(entries []authsvc.Entry) (records [][]byte, err error) {
	enc.buf, enc.records = enc.buf[:0], enc.records[:0]
	for i := range entries {
		start := len(enc.buf)
		if enc.buf, err = (proto.MarshalOptions{}).MarshalAppend(enc.buf, enc.convert(&entries[i])); err != nil {
			return nil, err
		}
		enc.records = append(enc.records, enc.buf[start:])
	}
	return enc.records, nil
}

// convert returns the record of an entry, valid until the next call. The time of the call is in the id.
func (enc *encoder) convert(e *authsvc.Entry) *logsv1.RequestLogRecord {
	row := &enc.row
	row.Id, row.WorkspaceId = e.ID.String(), e.WorkspaceID
	row.KeyId, row.KeyName, row.KeyLast4, row.ExternalId = wire.ID(e.KeyID), e.KeyName, e.KeyLast4, e.ExternalID
	row.AgentType, row.AgentId, row.Method, row.Endpoint = e.AgentType, e.AgentID, e.Method, e.Endpoint
	row.Status, row.ErrorCode, row.Cause = int32(e.Status), string(e.ErrorCode), string(e.Cause)
	row.CallCount, row.LatencyMs = int32(e.CallCount), nil
	if e.Reported {
		enc.latency = wire.Latency(e.Latency)
		row.LatencyMs = &enc.latency
	}
	enc.record.RequestLog, enc.record.FromReport = row, e.FromReport
	return &enc.record
}

// parseRecord decodes a record.
func parseRecord(payload []byte) (*logsv1.RequestLogRecord, error) {
	record := &logsv1.RequestLogRecord{}
	if err := proto.Unmarshal(payload, record); err != nil {
		return nil, err
	}
	if record.GetRequestLog() == nil {
		return nil, errors.New("it has no request log")
	}
	return record, nil
}

// mergeRecords merges two records of one row by the rule of RecordRequestLogs in the contract. It returns one of the two,
// modified. Fields that this release does not know stay with the description of the call.
func mergeRecords(first, second *logsv1.RequestLogRecord) *logsv1.RequestLogRecord {
	outcome := first.GetRequestLog()
	if rank(second.GetRequestLog()) > rank(outcome) {
		outcome = second.GetRequestLog()
	}
	calls := max(first.GetRequestLog().GetCallCount(), second.GetRequestLog().GetCallCount())
	merged := first
	if first.GetFromReport() && !second.GetFromReport() {
		merged = second
	}
	row := merged.GetRequestLog()
	row.Status, row.ErrorCode, row.Cause, row.LatencyMs = outcome.GetStatus(), outcome.GetErrorCode(), outcome.GetCause(), outcome.LatencyMs
	row.CallCount = calls
	return merged
}

// rank orders outcomes: in progress, denied by the check, reported.
func rank(row *logsv1.RequestLog) int {
	switch {
	case row.GetStatus() == 0:
		return 0
	case row.LatencyMs == nil:
		return 1
	}
	return 2
}
