package uuid7

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Generator makes the ids of request logs. The 12 bits after the milliseconds are a counter (RFC 9562, section 6.2, method 1),
// 0 for the first id of a millisecond. The last 62 bits are random, and drawn anew every hour: they make ids unique, not secret.
// A Generator is safe for concurrent use.
//
// It has a lock, on the path of every check, because ids that differ in so few bits save 9 bytes of each row in a sealed block.
// An id takes 26 ns, also while two cores do nothing but make ids; New takes 18 ns. Atomic operations instead of the lock took
// 20 ns, which is not worth their code.
type Generator struct {
	mu sync.Mutex
	// last is the milliseconds and the counter of the last id, as one number.
	last uint64
	// tail is the last 64 bits of an id. It is drawn anew for the first id that is not below due, in the form of last.
	tail, due uint64
}

const (
	counterBits = 12
	// slack is how far a time may lie before others, because a caller reads the clock before it takes the lock. Times further
	// back mean that the clock was set back.
	slack = uint64(time.Second/time.Millisecond) << counterBits
	// tailLife is how long the random bits stay the same.
	tailLife = uint64(time.Hour/time.Millisecond) << counterBits
)

// NewGenerator returns a generator.
func NewGenerator() *Generator { return &Generator{} }

// New returns a new id of time t. It differs from all others, whatever their times. A t less than a second before the time of
// the last id is taken for that time, so that ids ascend. The 4,097th id of a millisecond has the time of the next one.
func (g *Generator) New(t time.Time) uuid.UUID {
	at := uint64(max(t.UnixMilli(), 0)) << counterBits
	next, tail := g.next(at)
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], next>>counterBits<<16|7<<12|next&(1<<counterBits-1))
	binary.BigEndian.PutUint64(id[8:], tail)
	return id
}

func (g *Generator) next(at uint64) (next, tail uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	next = max(at, g.last+1)
	if next-at >= slack {
		// The clock was set back: ids of this time may have been made before.
		next, g.due = at, 0
	}
	if next >= g.due {
		g.tail, g.due = drawTail(), next+tailLife
	}
	g.last = next
	return next, g.tail
}

// drawTail returns the variant bits and 62 random ones.
func drawTail() uint64 {
	var random [8]byte
	rand.Read(random[:]) // never fails
	return binary.BigEndian.Uint64(random[:])&(1<<62-1) | 1<<63
}
