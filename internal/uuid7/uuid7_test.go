package uuid7

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func less(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) < 0 }

func TestIDHoldsItsTimeToTheMillisecond(t *testing.T) {
	for _, at := range []time.Time{
		noon, noon.Add(999_999), noon.In(time.FixedZone("east", 3600)), time.UnixMilli(0), time.UnixMilli(1),
		time.UnixMilli(1<<48 - 1),
	} {
		want := at.Truncate(time.Millisecond).UTC()
		for name, id := range map[string]uuid.UUID{"New": New(at), "First": First(at)} {
			if got := Time(id); !got.Equal(want) || got.Location() != time.UTC {
				t.Errorf("the time of %s(%v) is %v", name, at, got)
			}
			if !Valid(id) {
				t.Errorf("%s(%v) = %v is not a UUIDv7", name, at, id)
			}
		}
	}
}

func TestIDsSortByTime(t *testing.T) {
	for _, step := range []time.Duration{250, time.Microsecond, time.Millisecond, time.Second, time.Hour} {
		at := noon.Add(999_000)
		for range 1000 {
			earlier, later := New(at), New(at.Add(step))
			if !less(earlier, later) {
				t.Fatalf("the id %v of %v is not below the id %v of %v later", earlier, at, later, step)
			}
			at = at.Add(step)
		}
	}
}

func TestFirstIsBelowEveryIDOfItsMillisecondAndAboveThoseBefore(t *testing.T) {
	first := First(noon.Add(999_999))
	if first != First(noon) {
		t.Errorf("one millisecond has the bounds %v and %v", first, First(noon))
	}
	for range 1000 {
		if id := New(noon); less(id, first) {
			t.Fatalf("the id %v is below its own bound %v", id, first)
		}
		if id := New(noon.Add(-1)); !less(id, first) {
			t.Fatalf("the id %v of the millisecond before is not below %v", id, first)
		}
	}
	if id := New(noon.Add(999_999)); !less(id, First(noon.Add(time.Millisecond))) {
		t.Errorf("the id %v is not below the next millisecond", id)
	}
}

func TestBoundBefore1970IsTheLowestOfAll(t *testing.T) {
	if got := First(time.Time{}); got != First(time.UnixMilli(0)) {
		t.Errorf("the bound of year 1 is %v", got)
	}
}

func TestIDsOfOneMomentDiffer(t *testing.T) {
	seen := map[uuid.UUID]bool{}
	for range 10000 {
		seen[New(noon)] = true
	}
	if len(seen) != 10000 {
		t.Errorf("10000 ids, %d of them different", len(seen))
	}
}

func TestOnlyVersion7IsValid(t *testing.T) {
	foreign := New(noon)
	foreign[8] |= 0xc0
	for name, id := range map[string]uuid.UUID{
		"the zero id": uuid.Nil, "the greatest id": uuid.Max, "a random id": uuid.New(), "another variant": foreign,
	} {
		if Valid(id) {
			t.Errorf("%s is valid", name)
		}
	}
	// From the examples of RFC 9562, appendix A.6: 2022-02-22T19:22:22Z.
	example := uuid.MustParse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")
	if want := time.Date(2022, 2, 22, 19, 22, 22, 0, time.UTC); !Valid(example) || !Time(example).Equal(want) {
		t.Errorf("the RFC's example has the time %v, want %v", Time(example), want)
	}
}

func TestNextAndBound(t *testing.T) {
	id := New(noon)
	for from, want := range map[uuid.UUID]uuid.UUID{
		{}:                     {15: 1},
		{14: 7, 15: 0xff}:      {14: 8},
		{0: 1, 1: 0xff, 15: 0}: {0: 1, 1: 0xff, 15: 1},
		uuid.Max:               uuid.Max,
	} {
		if got := Next(from); got != want {
			t.Errorf("Next(%v) = %v, want %v", from, got, want)
		}
	}
	if bound := Bound(noon); less(id, bound) || !less(bound, First(noon)) || !Time(bound).Equal(noon) || less(bound, Next(New(noon.Add(-1)))) {
		t.Errorf("Bound = %v", bound)
	}
}
