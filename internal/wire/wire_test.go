package wire

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keytrail/keytrail/internal/fault"
)

func TestLatencyIsKeptToTheMicrosecond(t *testing.T) {
	for _, tt := range []struct {
		ms   float64
		want time.Duration
	}{
		{0, 0}, {0.001, time.Microsecond}, {12.5, 12500 * time.Microsecond}, {0.0004, 0}, {0.0006, time.Microsecond},
		{1.0005, 1001 * time.Microsecond}, {86_400_000, 24 * time.Hour},
	} {
		if got := ParseLatency(tt.ms); got != tt.want {
			t.Errorf("ParseLatency(%v) = %v, want %v", tt.ms, got, tt.want)
		}
	}
	if got := Latency(1234567 * time.Nanosecond); got != 1.234 {
		t.Errorf("Latency writes %v, want 1.234", got)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		want := time.Duration(random.Int64N(24*3600*1e6)) * time.Microsecond
		if got := ParseLatency(Latency(want)); got != want {
			t.Fatalf("%v becomes %v in the contract", want, got)
		}
	}
}

func TestTimeIsUnsetOrAnInstant(t *testing.T) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)
	if got, err := ParseTime("f", Time(noon)); err != nil || got != noon {
		t.Errorf("%v becomes %v, %v", noon, got, err)
	}
	if got, err := ParseTime("f", Time(time.Time{})); err != nil || !got.IsZero() || Time(time.Time{}) != nil {
		t.Errorf("an unset time becomes %v, %v", got, err)
	}
	first := time.Time{}.Add(time.Millisecond)
	if got, err := ParseTime("f", timestamppb.New(first)); err != nil || !got.Equal(first) {
		t.Errorf("the first valid time becomes %v, %v", got, err)
	}
}

func TestInvalidTimesNameTheField(t *testing.T) {
	for name, at := range map[string]*timestamppb.Timestamp{
		"year 0":                           {Seconds: -62135596801},
		"year 10000":                       {Seconds: 253402300800},
		"negative nanoseconds":             {Nanos: -1},
		"a whole second of nanoseconds":    {Nanos: 1e9},
		"the zero time, which means unset": timestamppb.New(time.Time{}),
		"the rest of its millisecond":      timestamppb.New(time.Time{}.Add(999_999)),
	} {
		_, err := ParseTime("expire_time", at)
		if fault.KindOf(err) != fault.Invalid || err.Error()[:13] != "expire_time: " {
			t.Errorf("%s: error %v, want bad input in expire_time", name, err)
		}
	}
}

func TestIDIsEmptyOrAUUID(t *testing.T) {
	id := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	if got, err := ParseID("f", ID(id)); err != nil || got != id {
		t.Errorf("%v becomes %v, %v", id, got, err)
	}
	if got, err := ParseID("f", ID(uuid.Nil)); err != nil || got != uuid.Nil || ID(uuid.Nil) != "" {
		t.Errorf("the zero id becomes %v, %v", got, err)
	}
	if _, err := ParseID("key_id", "not an id"); fault.KindOf(err) != fault.Invalid || err.Error() != "key_id: must be a UUID" {
		t.Errorf("error %v, want bad input in key_id", err)
	}
}

func TestNilUUIDIsRefused(t *testing.T) {
	for text, good := range map[string]bool{
		"": true, "01890a5d-ac96-774b-bcce-b302099a8057": true, "00000000-0000-0000-0000-000000000000": false, "1": false,
	} {
		if _, err := ParseID("call_id", text); (err == nil) != good || err != nil && err.Error() != "call_id: must be a UUID" {
			t.Errorf("%q: %v", text, err)
		}
	}
}
