// Package wire converts ids, times and latencies between Go types and their form in the contract.
package wire

import (
	"math"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/internal/fault"
)

// ParseID parses a UUID; empty is the zero id. The nil UUID is refused: it is the zero value of many languages, and sending it
// by mistake must not mean the same as sending none.
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

// ID returns a UUID in its 36-character form; the zero id is empty.
func ID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// ParseTime returns a time in UTC; nil is the zero time.
func ParseTime(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	// The first millisecond of year 1 is Go's zero time, which means unset.
	if err := t.CheckValid(); err != nil || t.AsTime().Truncate(time.Millisecond).IsZero() {
		return time.Time{}, fault.InvalidField(field, "must be a time between years 1 and 9999")
	}
	return t.AsTime(), nil
}

// Time returns a timestamp; the zero time is nil.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ParseLatency returns the duration of milliseconds, rounded to the microsecond.
func ParseLatency(ms float64) time.Duration {
	return time.Duration(math.Round(ms*1000)) * time.Microsecond
}

// Latency returns a duration in milliseconds, truncated to the microsecond.
func Latency(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
