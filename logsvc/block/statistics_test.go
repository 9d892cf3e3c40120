package block

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

var (
	key1 = uuid.MustParse("01900000-0000-7000-8000-000000000001")
	key2 = uuid.MustParse("01900000-0000-7000-8000-000000000002")
)

func group(key uuid.UUID, code string, bucket int, calls, at int64) Group {
	return Group{
		HourClassCode: HourClassCode{Hour: at / time.Hour.Milliseconds(), Class: 4, Code: code},
		KeyID:         key, Bucket: bucket, Calls: calls, FirstUse: at, LastUse: at,
	}
}

func statisticsOf(groups ...Group) *Statistics {
	s := &Statistics{}
	for _, g := range groups {
		s.Add(g)
	}
	return s
}

func TestAddCountsByHourAndByKey(t *testing.T) {
	got := statisticsOf(group(key1, "a", 7, 2, 1000), group(key1, "b", NoLatency, 3, 500), group(uuid.Nil, "a", 7, 5, 7_200_000))
	want := &Statistics{
		Hours: map[HourClassCode]*Tally{
			{0, 4, "a"}: {Calls: 2, Latency: Histogram{7: 2}},
			{0, 4, "b"}: {Calls: 3},
			{2, 4, "a"}: {Calls: 5, Latency: Histogram{7: 5}},
		},
		Keys: map[uuid.UUID]*KeyTally{key1: {
			Tally: Tally{Calls: 5, Latency: Histogram{7: 2}}, FirstUse: 500, LastUse: 1000,
			Hours: []HourCalls{{HourClass{Class: 4}, 5}},
		}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestHoursOfAKeyAreSortedWhateverTheirOrder(t *testing.T) {
	var groups []Group
	for _, hour := range []int64{3, 1, 2, 3, 0, 2} {
		for _, class := range []int{2, 5, 4} {
			g := group(key1, "", NoLatency, 1, hour*3_600_000)
			g.Hour, g.Class = hour, class
			groups = append(groups, g)
		}
	}
	back := groups[3]
	back.Calls = -1
	want := []HourCalls{
		{HourClass{3, 5}, 2}, {HourClass{3, 4}, 2}, {HourClass{3, 2}, 2}, {HourClass{2, 5}, 2}, {HourClass{2, 4}, 2}, {HourClass{2, 2}, 2},
		{HourClass{1, 5}, 1}, {HourClass{1, 4}, 1}, {HourClass{0, 5}, 1}, {HourClass{0, 4}, 1}, {HourClass{0, 2}, 1},
	}
	if diff := cmp.Diff(want, statisticsOf(append(groups, back)...).Keys[key1].Hours); diff != "" {
		t.Error(diff)
	}
}

func TestMergeIsTheSameAsAddingAll(t *testing.T) {
	groups := []Group{
		group(key1, "a", 7, 2, 1000), group(key2, "a", 8, 4, 900), group(key1, "a", 7, 1, 100), group(uuid.Nil, "", 3, 1, 5),
	}
	for split := range groups {
		left, right := statisticsOf(groups[:split]...), statisticsOf(groups[split:]...)
		left.Merge(right)
		left.Add(groups[0])
		if diff := cmp.Diff(statisticsOf(append(groups, groups[0])...), left); diff != "" {
			t.Errorf("split at %d: %s", split, diff)
		}
		if diff := cmp.Diff(statisticsOf(groups[split:]...), right); diff != "" {
			t.Errorf("split at %d: the other has changed: %s", split, diff)
		}
	}
}

// A recent row that covers a sealed one adds its own call and takes the sealed one back, before or after the block is merged.
func TestCallsThatAreTakenBackLeaveNothing(t *testing.T) {
	denied, reported := group(key1, "a", NoLatency, 1, 1000), group(key1, "a", 7, 1, 1000)
	back := denied
	back.Calls = -1
	want := statisticsOf(reported)
	for name, got := range map[string]*Statistics{
		"block first": statisticsOf(denied, back, reported),
		"block last":  statisticsOf(back, reported, denied),
	} {
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if diff := cmp.Diff(&Statistics{}, statisticsOf(denied, back), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestBuckets(t *testing.T) {
	for latency, want := range map[time.Duration]int{
		0: 0, time.Nanosecond: 0, time.Microsecond: 0, 2 * time.Microsecond: 4, 3 * time.Microsecond: 6, 1024 * time.Microsecond: 40,
		1 << 35 * time.Microsecond: 140,
	} {
		if got := Bucket(latency); got != want {
			t.Errorf("%v is in bucket %d, want %d", latency, got, want)
		}
	}
	for exponent := range 40 {
		if got := Bucket(1 << exponent * time.Microsecond); got != 4*exponent {
			t.Errorf("2^%d µs are in bucket %d", exponent, got)
		}
	}
}
