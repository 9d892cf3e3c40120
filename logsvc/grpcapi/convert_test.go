package grpcapi

import (
	"testing"
	"time"

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
		page logsvc.Page
		want time.Time
	}{
		"a millisecond that was searched whole": {logsvc.Page{SearchedTo: lowest}, noon},
		"one that was not":                      {logsvc.Page{SearchedTo: within}, noon.Add(time.Millisecond)},
		"the middle of one":                     {logsvc.Page{SearchedTo: uuid7.New(noon.Add(500 * time.Microsecond))}, noon.Add(time.Millisecond)},
	} {
		if got := searchedTo(tt.page); !got.Equal(tt.want) {
			t.Errorf("%s: searched to %v, want %v", name, got, tt.want)
		}
	}
}
