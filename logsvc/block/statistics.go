package block

import (
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Statistics count the calls of some entries: by hour, class and code, and by key. An entry counts as CallCount calls.
type Statistics struct {
	Hours map[HourClassCode]*Tally
	Keys  map[uuid.UUID]*KeyTally
}

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

// KeyTally counts the calls of one key.
type KeyTally struct {
	Tally
	// FirstUse and LastUse are the times of its oldest and newest entry, in Unix milliseconds.
	FirstUse, LastUse int64
	// Hours is sorted: the newest hour first, and the highest class of an hour.
	Hours []HourCalls
}

// HourCalls is a number of calls, which is not 0.
type HourCalls struct {
	HourClass
	Calls int64
}

// HourClass is what the calls of a key are counted by.
type HourClass struct {
	Hour  int64
	Class int
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
	KeyID  uuid.UUID // nil = no key was proved
	Bucket int
	// Calls may be negative: they are taken back.
	Calls             int64
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
		KeyID:         e.KeyID, Bucket: bucket, Calls: int64(e.CallCount), FirstUse: at, LastUse: at,
	}
}

// Add counts a group. Counts that become 0 are removed; the times of a key's use only widen.
func (s *Statistics) Add(g Group) {
	t := s.hour(g.HourClassCode)
	t.add(g.Bucket, g.Calls)
	s.dropHour(g.HourClassCode, t)
	if g.KeyID == uuid.Nil {
		return
	}
	k := s.key(g.KeyID, g.FirstUse, g.LastUse)
	k.add(g.Bucket, g.Calls)
	k.addHour(HourClass{g.Hour, g.Class}, g.Calls)
	s.dropKey(g.KeyID, k)
}

// Merge adds other statistics, which it does not change.
func (s *Statistics) Merge(other *Statistics) {
	for by, added := range other.Hours {
		t := s.hour(by)
		t.merge(added)
		s.dropHour(by, t)
	}
	for id, added := range other.Keys {
		k := s.key(id, added.FirstUse, added.LastUse)
		k.merge(&added.Tally)
		for _, h := range added.Hours {
			k.addHour(h.HourClass, h.Calls)
		}
		s.dropKey(id, k)
	}
}

// hour returns a tally to add to; dropHour has to follow.
func (s *Statistics) hour(by HourClassCode) *Tally {
	t := s.Hours[by]
	if t == nil {
		t = &Tally{}
		if s.Hours == nil {
			s.Hours = map[HourClassCode]*Tally{}
		}
		s.Hours[by] = t
	}
	return t
}

func (s *Statistics) dropHour(by HourClassCode, t *Tally) {
	if t.empty() {
		delete(s.Hours, by)
	}
}

// key returns a tally to add to; dropKey has to follow.
func (s *Statistics) key(id uuid.UUID, firstUse, lastUse int64) *KeyTally {
	k := s.Keys[id]
	if k == nil {
		k = &KeyTally{FirstUse: firstUse, LastUse: lastUse}
		if s.Keys == nil {
			s.Keys = map[uuid.UUID]*KeyTally{}
		}
		s.Keys[id] = k
	}
	k.FirstUse, k.LastUse = min(k.FirstUse, firstUse), max(k.LastUse, lastUse)
	return k
}

func (s *Statistics) dropKey(id uuid.UUID, k *KeyTally) {
	if k.empty() && len(k.Hours) == 0 {
		delete(s.Keys, id)
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

func (t *Tally) merge(other *Tally) {
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

// addHour adds calls. It takes no search while hours come newest first, as they do from blocks.
func (k *KeyTally) addHour(by HourClass, calls int64) {
	i, found := len(k.Hours), false
	if i > 0 && compareHourCalls(k.Hours[i-1], by) >= 0 {
		i, found = slices.BinarySearchFunc(k.Hours, by, compareHourCalls)
	}
	if !found {
		k.Hours = slices.Insert(k.Hours, i, HourCalls{HourClass: by})
	}
	k.Hours[i].Calls += calls
	if k.Hours[i].Calls == 0 {
		k.Hours = slices.Delete(k.Hours, i, i+1)
	}
}

// compareHourCalls is the order of KeyTally.Hours.
func compareHourCalls(h HourCalls, by HourClass) int { return compareClasses(by, h.HourClass) }
