package trail

import (
	"math"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/wire"
	"github.com/keytrail/keytrail/trail/wal"
)

// usualRecord is more bytes than most records have.
const usualRecord = 320

// lengthBytes is the width of the length of the row within its record. The length is known last, so there is room for it
// from the start: a varint may be padded.
const lengthBytes = 3

// The journal takes no record whose length needs more bytes than that.
const _ = uint(1<<(7*lengthBytes) - wal.MaxRecord)

// appendRecord appends an entry as a keytrail.logs.v1.RequestLogRecord, without the row's time, which is in the id. It is
// written by hand because it is part of what every check costs, and the generated code takes five times as long; a test
// compares the two.
func appendRecord(buf []byte, e *authsvc.Entry) []byte {
	buf = protowire.AppendTag(buf, 1, protowire.BytesType)
	length := len(buf)
	buf = append(buf, make([]byte, lengthBytes)...)
	buf = appendRow(buf, e)
	putLength(buf[length:], len(buf)-length-lengthBytes)
	if e.FromReport {
		buf = appendNumber(buf, 2, 1)
	}
	return buf
}

// putLength writes a varint of lengthBytes bytes to the start of buf.
func putLength(buf []byte, n int) {
	for i := range lengthBytes - 1 {
		buf[i] = byte(n>>(7*i)) | 0x80
	}
	buf[lengthBytes-1] = byte(n >> (7 * (lengthBytes - 1)) & 0x7f)
}

// appendRow appends the fields of an entry's keytrail.logs.v1.RequestLog.
func appendRow(buf []byte, e *authsvc.Entry) []byte {
	buf = appendID(buf, 1, e.ID)
	buf = appendText(buf, 3, e.WorkspaceID)
	if e.KeyID != uuid.Nil {
		buf = appendID(buf, 4, e.KeyID)
	}
	buf = appendText(buf, 5, e.KeyName)
	buf = appendText(buf, 6, e.KeyLast4)
	buf = appendText(buf, 7, e.ExternalID)
	buf = appendText(buf, 8, e.AgentType)
	buf = appendText(buf, 9, e.AgentID)
	buf = appendText(buf, 10, e.Method)
	buf = appendText(buf, 11, e.Endpoint)
	buf = appendNumber(buf, 12, e.Status)
	buf = appendText(buf, 13, string(e.ErrorCode))
	buf = appendText(buf, 14, string(e.Cause))
	if e.Reported {
		buf = protowire.AppendTag(buf, 15, protowire.Fixed64Type)
		buf = protowire.AppendFixed64(buf, math.Float64bits(wire.Latency(e.Latency)))
	}
	return appendNumber(buf, 16, e.CallCount)
}

func appendID(buf []byte, field protowire.Number, id uuid.UUID) []byte {
	text, _ := id.MarshalText() // it never fails
	return protowire.AppendBytes(protowire.AppendTag(buf, field, protowire.BytesType), text)
}

// appendText appends a field that is left out where it is empty, as numbers are where they are 0.
func appendText(buf []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return buf
	}
	return protowire.AppendString(protowire.AppendTag(buf, field, protowire.BytesType), text)
}

func appendNumber(buf []byte, field protowire.Number, n int) []byte {
	if n == 0 {
		return buf
	}
	return protowire.AppendVarint(protowire.AppendTag(buf, field, protowire.VarintType), uint64(n))
}
