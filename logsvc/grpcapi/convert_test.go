package grpcapi

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

func TestBoundIsRoundedUpToTheMillisecond(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ given, want time.Time }{
		{noon, noon},
		{noon.Add(1), noon.Add(time.Millisecond)},
		{noon.Add(time.Millisecond - 1), noon.Add(time.Millisecond)},
		{noon.Add(time.Millisecond), noon.Add(time.Millisecond)},
		{noon.Add(-1), noon},
		{time.Unix(-1, 1).UTC(), time.Unix(-1, 1e6).UTC()},
		{time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)},
	} {
		if got, err := parseBound("start_time", timestamppb.New(tt.given)); err != nil || !got.Equal(tt.want) {
			t.Errorf("the bound %v is %v, %v; want %v", tt.given, got, err, tt.want)
		}
	}
	if got, err := parseBound("start_time", nil); err != nil || !got.IsZero() {
		t.Errorf("no bound is %v, %v", got, err)
	}
	if _, err := parseBound("start_time", &timestamppb.Timestamp{Nanos: -1}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a bound out of range: error %v", err)
	}
}

func TestSearchedToIsNotBeforeWhatWasSearched(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	lowest := uuid7.First(noon)
	within := lowest
	within[15]++
	for name, tt := range map[string]struct {
		bound uuid.UUID
		want  time.Time
	}{
		"a millisecond that was searched whole": {lowest, noon},
		"one that was not":                      {within, noon.Add(time.Millisecond)},
		"the middle of one":                     {uuid7.New(noon.Add(500 * time.Microsecond)), noon.Add(time.Millisecond)},
	} {
		if got := timeFrom(tt.bound); !got.Equal(tt.want) {
			t.Errorf("%s: searched to %v, want %v", name, got, tt.want)
		}
	}
}

func TestTimesOfARangeHoldEachOfItsIDs(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	id := uuid7.New(noon.Add(500 * time.Microsecond))
	after := id
	after[15]++
	later := noon.Add(time.Second)
	for name, tt := range map[string]struct {
		ids        logsvc.Range
		start, end time.Time
	}{
		"one id":                    {logsvc.Range{From: id, To: after}, noon, noon.Add(time.Millisecond)},
		"up to a millisecond":       {logsvc.Range{From: id, To: uuid7.First(later)}, noon, later},
		"whole milliseconds":        {logsvc.TimeRange(noon, later), noon, later},
		"into the last millisecond": {logsvc.Range{From: id, To: uuid7.New(later.Add(1))}, noon, later.Add(time.Millisecond)},
	} {
		if got := toTimes(tt.ids); !got.GetStartTime().AsTime().Equal(tt.start) || !got.GetEndTime().AsTime().Equal(tt.end) {
			t.Errorf("%s: %v, want %v to %v", name, got, tt.start, tt.end)
		}
	}
}
