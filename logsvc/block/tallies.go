package block

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// tallies are counts in the form in which a block has them: column by column, histograms without their empty buckets. A tally
// is an index of the slices.
type tallies struct {
	// hour is that of the block's first row.
	hour          int64
	hours         []uint32 // since then
	outcomes      dictionary[classCode]
	outcomeValues []classCode
	unreported    []uint64 // calls without a latency
	sizes         []uint32 // how many buckets each tally has

	// Of each bucket, how many before it are empty, and its calls.
	gaps  []uint32
	calls []uint64
}

type classCode struct {
	class int
	code  string
}

func newTallies(first uint64) *tallies {
	c := &tallies{hour: int64(first) / time.Hour.Milliseconds()}
	c.outcomes.reset()
	return c
}

// sparseTally is a Tally of a few calls.
type sparseTally struct {
	unreported int64
	buckets    []bucketCalls // ascending
}

type bucketCalls struct {
	number int
	calls  int64
}

func (t *sparseTally) add(bucket int, calls int64) {
	if bucket == NoLatency {
		t.unreported += calls
		return
	}
	i, found := slices.BinarySearchFunc(t.buckets, bucket, func(b bucketCalls, n int) int { return cmp.Compare(b.number, n) })
	if !found {
		t.buckets = slices.Insert(t.buckets, i, bucketCalls{number: bucket})
	}
	t.buckets[i].calls += calls
}

func (t *sparseTally) merge(other *sparseTally) {
	t.unreported += other.unreported
	for _, b := range other.buckets {
		t.add(b.number, b.calls)
	}
}

// addAll adds tallies in the order of the format.
func (c *tallies) addAll(tallies map[HourClassCode]*sparseTally) {
	for _, by := range slices.SortedFunc(maps.Keys(tallies), compareHours) {
		c.add(by, tallies[by])
	}
}

func compareHours(a, b HourClassCode) int {
	return cmp.Or(cmp.Compare(a.Hour, b.Hour), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Code, b.Code))
}

func (c *tallies) add(by HourClassCode, t *sparseTally) {
	c.hours = append(c.hours, uint32(by.Hour-c.hour))
	c.outcomes.add(classCode{by.Class, by.Code})
	next := 0
	for _, b := range t.buckets {
		c.gaps, c.calls = append(c.gaps, uint32(b.number-next)), append(c.calls, uint64(b.calls))
		next = b.number + 1
	}
	c.unreported, c.sizes = append(c.unreported, uint64(t.unreported)), append(c.sizes, uint32(len(t.buckets)))
}

func (c *tallies) pack(p *packer) {
	p.uvarint(uint64(len(c.hours)))
	column(p, c.hours)
	c.outcomes.pack(p)
	column(p, c.unreported)
	column(p, c.sizes)
	p.uvarint(uint64(len(c.gaps)))
	column(p, c.gaps)
	column(p, c.calls)
	for _, o := range c.outcomes.values {
		p.uvarint(uint64(o.class))
		p.text(o.code)
	}
}

// maxBuckets is the number of buckets of all latencies that a time.Duration can have.
const maxBuckets = 64 * bucketsPerOctave

// readTallies reads the tallies of at most rows entries, the first of which was made at a time in Unix milliseconds.
func readTallies(u *unpacker, rows int, first uint64) (*tallies, error) {
	n := u.count(rows)
	c := newTallies(first)
	c.hours = readColumn[uint32](u, n)
	var outcomes int
	c.outcomes.index, outcomes = readNumbers(u, n)
	c.unreported, c.sizes = readColumn[uint64](u, n), readColumn[uint32](u, n)
	m := u.count(rows)
	c.gaps, c.calls = readColumn[uint32](u, m), readColumn[uint64](u, m)
	c.checkBuckets(u)
	c.outcomeValues = make([]classCode, outcomes)
	for i := range c.outcomeValues {
		c.outcomeValues[i] = classCode{int(u.uvarint(1<<64 - 1)), u.text()}
	}
	return c, u.end()
}

// checkBuckets makes sure that all buckets belong to a tally, and that their numbers are below maxBuckets.
func (c *tallies) checkBuckets(u *unpacker) {
	gaps := c.gaps
	for _, size := range c.sizes {
		if int(size) > len(gaps) {
			u.fail("%d buckets instead of %d", len(gaps), size)
			return
		}
		bucket := -1
		for _, gap := range gaps[:size] {
			if bucket += 1 + int(gap); bucket >= maxBuckets {
				u.fail("a bucket %d", bucket)
				return
			}
		}
		gaps = gaps[size:]
	}
	if len(gaps) > 0 {
		u.fail("%d buckets of no tally", len(gaps))
	}
}

// addTo adds the tallies from..to to counts.
func (c *tallies) addTo(counts Counts, from, to int) {
	at := 0
	for _, size := range c.sizes[:from] {
		at += int(size)
	}
	for number := from; number < to; number++ {
		o := c.outcomeValues[c.outcomes.index[number]]
		t := counts.tally(HourClassCode{c.hour + int64(c.hours[number]), o.class, o.code})
		t.Calls += int64(c.unreported[number])
		bucket := -1
		for range c.sizes[number] {
			bucket += 1 + int(c.gaps[at])
			t.add(bucket, int64(c.calls[at]))
			at++
		}
	}
}
