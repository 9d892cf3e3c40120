package logsvc

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/keytrail/keytrail/logsvc/block"
)

// Bucket counts the calls of some hours.
type Bucket struct {
	// Start is a multiple of the bucket's length since 1970-01-01 UTC.
	Start time.Time
	// Calls are sorted by class and code.
	Calls   []OutcomeCalls
	Latency block.Histogram
}

// OutcomeCalls is how many calls ended in the same way.
type OutcomeCalls struct {
	// Class is the first digit of the status, 0 = in progress.
	Class int
	Code  string
	Calls int64
}

// Buckets returns the counts in buckets of some hours, the oldest first. Those without calls are left out.
func (s Summary) Buckets(hours int64) []Bucket {
	parts := map[int64]block.Counts{}
	for by, tally := range s.Counts {
		start := by.Hour / hours * hours
		if parts[start] == nil {
			parts[start] = block.Counts{}
		}
		parts[start].AddTally(block.HourClassCode{Class: by.Class, Code: by.Code}, tally)
	}
	var buckets []Bucket
	for _, start := range slices.Sorted(maps.Keys(parts)) {
		b := bucketOf(parts[start])
		b.Start = time.Unix(start*int64(time.Hour/time.Second), 0).UTC()
		buckets = append(buckets, b)
	}
	return buckets
}

// Total returns all counts together, without a start.
func (s Summary) Total() Bucket {
	total := block.Counts{}
	for by, tally := range s.Counts {
		total.AddTally(block.HourClassCode{Class: by.Class, Code: by.Code}, tally)
	}
	return bucketOf(total)
}

// bucketOf returns counts whose hour is 0.
func bucketOf(counts block.Counts) (b Bucket) {
	all := block.Tally{}
	for by, tally := range counts {
		b.Calls = append(b.Calls, OutcomeCalls{Class: by.Class, Code: by.Code, Calls: tally.Calls})
		all.Merge(tally)
	}
	slices.SortFunc(b.Calls, func(x, y OutcomeCalls) int {
		return cmp.Or(cmp.Compare(x.Class, y.Class), cmp.Compare(x.Code, y.Code))
	})
	b.Latency = all.Latency
	return b
}
