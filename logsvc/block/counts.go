package block

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

func compareHours(a, b HourClassCode) int {
	return cmp.Or(compareClasses(HourClass{a.Hour, a.Class}, HourClass{b.Hour, b.Class}), cmp.Compare(a.Code, b.Code))
}

func compareClasses(a, b HourClass) int {
	return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.Class, b.Class))
}

// packStatistics packs counts of entries of which the first was made at a time in Unix milliseconds.
func packStatistics(p *packer, s *Statistics, first uint64) {
	var c packer
	hour := int64(first) / time.Hour.Milliseconds()
	hours := slices.SortedFunc(maps.Keys(s.Hours), compareHours)
	c.uvarint(uint64(len(hours)))
	for _, by := range hours {
		c.uvarint(uint64(by.Hour - hour))
		c.uvarint(uint64(by.Class))
		c.text(by.Code)
		c.tally(s.Hours[by])
	}
	keys := slices.SortedFunc(maps.Keys(s.Keys), compare)
	c.uvarint(uint64(len(keys)))
	for _, id := range keys {
		k := s.Keys[id]
		c.bytes(id[:])
		c.uvarint(uint64(k.FirstUse) - first)
		c.uvarint(uint64(k.LastUse - k.FirstUse))
		c.tally(&k.Tally)
		c.uvarint(uint64(len(k.Hours)))
		for _, h := range k.Hours {
			c.uvarint(uint64(h.Hour - hour))
			c.uvarint(uint64(h.Class))
			c.uvarint(uint64(h.Calls))
		}
	}
	p.uvarint(uint64(len(c.out)))
	p.run(c.out)
}

func (p *packer) tally(t *Tally) {
	p.uvarint(uint64(t.Calls))
	p.uvarint(uint64(len(t.Latency)))
	for _, calls := range t.Latency {
		p.uvarint(uint64(calls))
	}
}

// maxBuckets is the number of buckets of all latencies that a time.Duration can have.
const maxBuckets = 64 * bucketsPerOctave

func (u *unpacker) tally() (t Tally) {
	t.Calls = u.int64()
	if n := u.count(maxBuckets); n > 0 {
		t.Latency = make(Histogram, n)
	}
	for bucket := range t.Latency {
		t.Latency[bucket] = u.int64()
	}
	return t
}

func (u *unpacker) int64() int64 { return int64(u.uvarint(math.MaxUint64)) }

// maxCounted is the most bytes that the counts of one entry add: a code, an id, 14 integers, and the buckets of two histograms.
const maxCounted = 64 + 16 + 14*10 + 2*maxBuckets

// readStatistics reads the counts of at most rows entries.
func readStatistics(outer *unpacker, rows int, first uint64) (*Statistics, error) {
	length := outer.count(rows*maxCounted + 2*10)
	u := &unpacker{in: outer.run(length, nil), err: outer.err}
	hour := int64(first) / time.Hour.Milliseconds()
	s := &Statistics{Hours: map[HourClassCode]*Tally{}, Keys: map[uuid.UUID]*KeyTally{}}
	for range u.count(rows) {
		by := HourClassCode{hour + u.int64(), int(u.int64()), string(u.bytes(u.count(len(u.in))))}
		s.Hours[by] = new(u.tally())
	}
	for range u.count(rows) {
		var id uuid.UUID
		copy(id[:], u.bytes(len(id)))
		k := &KeyTally{FirstUse: int64(first) + u.int64()}
		k.LastUse = k.FirstUse + u.int64()
		k.Tally = u.tally()
		n := u.count(rows)
		k.Hours = make([]HourCalls, min(n, len(u.in)))
		for i := range k.Hours {
			k.Hours[i] = HourCalls{HourClass{hour + u.int64(), int(u.int64())}, u.int64()}
			if i > 0 && compareHourCalls(k.Hours[i-1], k.Hours[i].HourClass) >= 0 {
				u.fail("the hours of a key are not in order")
			}
		}
		if u.err != nil {
			break
		}
		s.Keys[id] = k
	}
	outer.err = u.end()
	return s, outer.end()
}
