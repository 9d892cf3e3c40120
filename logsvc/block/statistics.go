package block

import (
	"math"
	"time"

	"github.com/google/uuid"
)

// Counts are numbers of calls. An entry counts as CallCount calls.
type Counts map[HourClassCode]*Tally

// HourClassCode is what calls are counted by.
type HourClassCode struct {
	// Hour is in hours since 1970-01-01 UTC.
	Hour int64
	// Class is the first digit of the status, 0 = in progress.
	Class int
	Code  string
}

// Tally is a number of calls and the distribution of the latencies that were reported.
type Tally struct {
	Calls   int64
	Latency Histogram
}

// Histogram has the count of each Bucket, by number. The last one is not 0.
type Histogram []int64

// bucketsPerOctave is 2^scale of OpenTelemetry's exponential histograms with scale 2: a bucket's upper bound is 2^(1/4), 19 %,
// above its lower one. https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
const bucketsPerOctave = 4

// NoLatency is the bucket of an entry without a latency, which Histograms leave out.
const NoLatency = -1

// Bucket returns the bucket of a latency: floor(4 log2(µs)), 0 for everything up to 1 µs.
func Bucket(latency time.Duration) int {
	return int(math.Floor(math.Log(float64(max(latency.Microseconds(), 1))) / math.Ln2 * bucketsPerOctave))
}

// Group is a set of calls that are counted together.
type Group struct {
	HourClassCode
	KeyID uuid.UUID // nil = no key was proved
	// KeyName and KeyLast4 are those of the newest entry.
	KeyName, KeyLast4 string
	Bucket            int
	// Calls may be negative: they are taken back.
	Calls int64
	// FirstUse and LastUse are the times of the oldest and of the newest entry, in Unix milliseconds.
	FirstUse, LastUse int64
}

// GroupOf returns the group of one entry.
func GroupOf(e *Entry) Group {
	at, bucket := e.Time().UnixMilli(), NoLatency
	if e.Reported {
		bucket = Bucket(e.Latency)
	}
	return Group{
		HourClassCode: HourClassCode{Hour: at / time.Hour.Milliseconds(), Class: e.Status / 100, Code: e.ErrorCode},
		KeyID:         e.KeyID, KeyName: e.KeyName, KeyLast4: e.KeyLast4,
		Bucket: bucket, Calls: int64(e.CallCount), FirstUse: at, LastUse: at,
	}
}

// Add counts a group. Counts that become 0 are removed.
func (c Counts) Add(g Group) {
	t := c.tally(g.HourClassCode)
	t.add(g.Bucket, g.Calls)
	c.drop(g.HourClassCode, t)
}

// Merge adds other counts, which it does not change.
func (c Counts) Merge(other Counts) {
	for by, added := range other {
		c.AddTally(by, added)
	}
}

// AddTally adds a tally, which it does not change.
func (c Counts) AddTally(by HourClassCode, added *Tally) {
	t := c.tally(by)
	t.Merge(added)
	c.drop(by, t)
}

// tally returns a tally to add to; drop has to follow.
func (c Counts) tally(by HourClassCode) *Tally {
	t := c[by]
	if t == nil {
		t = &Tally{}
		c[by] = t
	}
	return t
}

func (c Counts) drop(by HourClassCode, t *Tally) {
	if t.empty() {
		delete(c, by)
	}
}

func (t *Tally) add(bucket int, calls int64) {
	t.Calls += calls
	if bucket != NoLatency {
		t.Latency.grow(bucket + 1)
		t.Latency[bucket] += calls
		t.Latency.trim()
	}
}

// Merge adds another tally, which it does not change.
func (t *Tally) Merge(other *Tally) {
	t.Calls += other.Calls
	t.Latency.grow(len(other.Latency))
	for bucket, calls := range other.Latency {
		t.Latency[bucket] += calls
	}
	t.Latency.trim()
}

// empty reports whether there is nothing to count: the calls may cancel out while their latencies do not.
func (t *Tally) empty() bool { return t.Calls == 0 && len(t.Latency) == 0 }

func (h *Histogram) grow(n int) { *h = append(*h, make(Histogram, max(n-len(*h), 0))...) }

func (h *Histogram) trim() {
	for len(*h) > 0 && (*h)[len(*h)-1] == 0 {
		*h = (*h)[:len(*h)-1]
	}
}

// Quantile returns an estimate of the latency that the share q of the calls does not exceed, 0 < q <= 1; 0 if there are no calls.
// It is the geometric middle of the bucket of that call: at most 9.1 % off (2^(1/8) - 1), or 1.1 µs if the latency is 0.
func (h Histogram) Quantile(q float64) time.Duration {
	total := int64(0)
	for _, calls := range h {
		total += calls
	}
	rank := int64(math.Ceil(q * float64(total)))
	for bucket, calls := range h {
		if rank -= calls; rank <= 0 && total > 0 {
			return time.Duration(math.Exp2((float64(bucket)+0.5)/bucketsPerOctave) * float64(time.Microsecond))
		}
	}
	return 0
}
