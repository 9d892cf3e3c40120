// Package wire is how the contract writes what both services know: ids, times and latencies.
package wire

import (
	"math"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/internal/fault"
)

// ParseID reads a UUID; empty is the zero id. The nil UUID is refused: it is the zero value of many languages, and a client
// that sends it by mistake must not be taken to have sent none.
func ParseID(field, text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil {
		return uuid.Nil, fault.InvalidField(field, "must be a UUID")
	}
	return id, nil
}

// ID writes a UUID in its 36-character form; the zero id is empty.
func ID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// ParseTime reads a time in UTC; unset is the zero time.
func ParseTime(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	// The first millisecond of year 1 is Go's zero time: it would pass for unset.
	if err := t.CheckValid(); err != nil || t.AsTime().Truncate(time.Millisecond).IsZero() {
		return time.Time{}, fault.InvalidField(field, "must be a time between years 1 and 9999")
	}
	return t.AsTime(), nil
}

// Time writes a time; the zero time is unset.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ParseLatency reads milliseconds, rounded to the microsecond.
func ParseLatency(ms float64) time.Duration {
	return time.Duration(math.Round(ms*1000)) * time.Microsecond
}

// Latency writes milliseconds, to the microsecond.
func Latency(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
