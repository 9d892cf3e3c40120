// Package uuid7 creates and reads UUIDv7 (RFC 9562, section 5.7) for times that the caller passes. A request log's id is one:
// the time of the call, the order of the rows and their partition are derived from it.
package uuid7

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// New returns a new id of time t, for keys and single ids; a Generator makes those of request logs. The 12 bits after the
// milliseconds are the fraction of the millisecond (section 6.2, method 3), so ids of one process sort by time to about 250 ns;
// the last 62 bits are random.
// They make ids unique, not secret: math/rand/v2 (ChaCha8, seeded by the system) avoids the system call that took an eighth
// of the CPU time of a check.
func New(t time.Time) uuid.UUID {
	id := First(t)
	fraction := uint16(t.Nanosecond() % int(time.Millisecond) * 4096 / int(time.Millisecond))
	binary.BigEndian.PutUint16(id[6:], 7<<12|fraction)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	id[8] = id[8]&0x3f | 0x80
	return id
}

// First returns the lowest id of the millisecond of t: ids of earlier milliseconds are below it. It is a bound, not a unique
// id.
func First(t time.Time) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(max(t.UnixMilli(), 0))<<16)
	id[6] = 7 << 4
	id[8] = 0x80
	return id
}

// Time returns the time of an id, in UTC, to the millisecond.
func Time(id uuid.UUID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:]) >> 16)).UTC()
}

// Valid reports whether id is a UUIDv7.
func Valid(id uuid.UUID) bool {
	return id.Version() == 7 && id.Variant() == uuid.RFC4122
}

// Bound returns the lowest UUID whose first 48 bits are the milliseconds of t. Unlike First it has no version bits, so that every
// id of the millisecond is above it, whatever its version.
func Bound(t time.Time) uuid.UUID {
	id := First(t)
	id[6], id[8] = 0, 0
	return id
}

// Next returns the lowest UUID that is greater than id; of the highest, itself.
func Next(id uuid.UUID) uuid.UUID {
	for i := len(id) - 1; i >= 0 && id != uuid.Max; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}
