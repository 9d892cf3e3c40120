package trail

import (
	"math"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/wire"
)

// usualRecord is more bytes than most records have.
const usualRecord = 320

// appendRecord appends a row as a record of the trail: the keytrail.logs.v1.RequestLog of Entry.Proto, without the time,
// which is in the id. It is written by hand because it is part of what every check costs, and the generated code takes
// five times as long; a test holds the two against each other.
func appendRecord(buf []byte, e *authsvc.Entry) []byte {
	buf = appendID(buf, 1, e.ID)
	buf = appendText(buf, 3, e.WorkspaceID)
	if e.KeyID != uuid.Nil {
		buf = appendID(buf, 4, e.KeyID)
	}
	buf = appendText(buf, 5, e.KeyName)
	buf = appendText(buf, 6, e.KeyLast4)
	buf = appendText(buf, 7, e.AgentType)
	buf = appendText(buf, 8, e.AgentID)
	buf = appendText(buf, 9, e.Method)
	buf = appendText(buf, 10, e.Endpoint)
	buf = appendNumber(buf, 11, e.Status)
	buf = appendText(buf, 12, string(e.ErrorCode))
	if ms := wire.Latency(e.Latency); ms != 0 {
		buf = protowire.AppendTag(buf, 13, protowire.Fixed64Type)
		buf = protowire.AppendFixed64(buf, math.Float64bits(ms))
	}
	return appendNumber(buf, 14, e.Repeated)
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
