package block

import (
	"math"
	"math/rand/v2"
	"slices"
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

// group is calls with a key, which has the time as its name.
func group(key uuid.UUID, code string, bucket int, calls, at int64) Group {
	return Group{
		HourClassCode: HourClassCode{Hour: at / time.Hour.Milliseconds(), Class: 4, Code: code},
		KeyID:         key, KeyName: time.UnixMilli(at).UTC().String(), KeyLast4: "abcd",
		Bucket: bucket, Calls: calls, FirstUse: at, LastUse: at,
	}
}

func counted(groups ...Group) (Counts, Keys) {
	counts, keys := Counts{}, Keys{}
	for _, g := range groups {
		counts.Add(g)
		keys.Add(g)
	}
	return counts, keys
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestAddCountsByHourAndByKey(t *testing.T) {
	other := group(key1, "b", NoLatency, 3, 500)
	other.Class = 2
	counts, keys := counted(group(key1, "a", 7, 2, 1000), other, group(uuid.Nil, "a", 7, 5, 7_200_000))
	same(t, Counts{
		{0, 4, "a"}: {Calls: 2, Latency: Histogram{7: 2}},
		{0, 2, "b"}: {Calls: 3},
		{2, 4, "a"}: {Calls: 5, Latency: Histogram{7: 5}},
	}, counts)
	same(t, Keys{key1: {
		Name: "1970-01-01 00:00:01 +0000 UTC", Last4: "abcd", FirstUse: 500, LastUse: 1000, Classes: []ClassCalls{{2, 3}, {4, 2}},
	}}, keys)
}

func TestMergeIsTheSameAsAddingAll(t *testing.T) {
	groups := []Group{
		group(key1, "a", 7, 2, 1000), group(key2, "a", 8, 4, 900), group(key1, "a", 7, 1, 100), group(uuid.Nil, "", 3, 1, 5),
	}
	wantCounts, wantKeys := counted(append(groups, groups[0])...)
	for split := range groups {
		counts, keys := counted(groups[:split]...)
		restCounts, restKeys := counted(groups[split:]...)
		counts.Merge(restCounts)
		keys.Merge(restKeys)
		counts.Add(groups[0])
		keys.Add(groups[0])
		same(t, wantCounts, counts)
		same(t, wantKeys, keys)
		counts, keys = counted(groups[split:]...)
		same(t, counts, restCounts)
		same(t, keys, restKeys)
	}
}

// A recent row that covers a sealed one adds its own call and takes the sealed one back, before or after the block is merged.
func TestCallsThatAreTakenBackLeaveNothing(t *testing.T) {
	denied, reported := group(key1, "a", NoLatency, 1, 1000), group(key1, "a", 7, 1, 1000)
	back := denied
	back.Calls = -1
	wantCounts, wantKeys := counted(reported)
	for _, groups := range [][]Group{{denied, back, reported}, {back, reported, denied}} {
		counts, keys := counted(groups...)
		same(t, wantCounts, counts)
		same(t, wantKeys, keys)
	}
	counts, keys := counted(denied, back)
	same(t, Counts{}, counts)
	same(t, Keys{}, keys)
}

func TestBlocksHaveTheCountsOfTheirEntries(t *testing.T) {
	eachRandomBlock(t, func(t *testing.T, _ *rand.Rand, d *Decoder, b encoded) {
		want, wantKeys, ofKey := Counts{}, Keys{}, map[uuid.UUID]Counts{}
		for i := range b.entries {
			g := GroupOf(&b.entries[i])
			want.Add(g)
			wantKeys.Add(g)
			if g.KeyID != uuid.Nil && ofKey[g.KeyID] == nil {
				ofKey[g.KeyID] = Counts{}
			}
			if g.KeyID != uuid.Nil {
				ofKey[g.KeyID].Add(g)
			}
		}
		counts, err := d.Counts(b.Summary, b.part(partStatistics))
		must(t, err)
		same(t, want, counts)
		keys, err := d.Keys(b.Summary, b.part(partKeys))
		must(t, err)
		same(t, wantKeys, keys)
		ofKey[key1] = nil // which no entry has
		for id, want := range ofKey {
			counts, err := d.KeyCounts(b.Summary, b.part(partKeys), id)
			must(t, err)
			same(t, want, counts)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
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

func TestQuantilesAreAtMostATenthOff(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var latencies []time.Duration
		tally := &Tally{}
		for range 1 + r.IntN(500) {
			latency := time.Duration(math.Exp(r.Float64()*25)) * time.Microsecond
			latencies = append(latencies, latency)
			tally.add(Bucket(latency), 1)
		}
		slices.Sort(latencies)
		for _, q := range []float64{0.001, 0.5, 0.95, 0.99, 1} {
			want := latencies[int(math.Ceil(q*float64(len(latencies))))-1]
			if got := tally.Latency.Quantile(q); math.Abs(float64(got)/float64(want)-1) > 0.091 {
				t.Errorf("quantile %v of %d latencies is %v, want %v", q, len(latencies), got, want)
			}
		}
	}
	zero := Histogram{1}
	if got := zero.Quantile(0.5); got > 1100 {
		t.Errorf("the quantile of a latency of 0 is %v", got)
	}
	if got := (Histogram{}).Quantile(0.5); got != 0 {
		t.Errorf("the quantile of no latency is %v", got)
	}
}
