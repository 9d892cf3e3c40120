package authsvc_test

import (
	"testing"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

func TestQuotaRefusesOnlyWhatGrowsBeyondIt(t *testing.T) {
	has := authsvc.Usage{Keys: 10, Bytes: 1000}
	for _, tt := range []struct {
		quota   authsvc.Quota
		added   authsvc.Usage
		refused bool
	}{
		{authsvc.Quota{}, authsvc.Usage{Keys: 1, Bytes: 1 << 40}, false},
		{authsvc.Quota{Keys: 11, Bytes: 1100}, authsvc.Usage{Keys: 1, Bytes: 100}, false},
		{authsvc.Quota{Keys: 10}, authsvc.Usage{Keys: 1, Bytes: 100}, true},
		{authsvc.Quota{Bytes: 1099}, authsvc.Usage{Keys: 1, Bytes: 100}, true},
		{authsvc.Quota{Keys: 5, Bytes: 1001}, authsvc.Usage{Bytes: 1}, false},
		{authsvc.Quota{Keys: 5, Bytes: 1000}, authsvc.Usage{Bytes: 1}, true},
		{authsvc.Quota{Keys: 5, Bytes: 500}, authsvc.Usage{}, false},
		{authsvc.Quota{Keys: 5, Bytes: 500}, authsvc.Usage{Bytes: -1}, false},
	} {
		err := tt.quota.Check(has, tt.added)
		if refused := fault.KindOf(err) == fault.Exhausted; refused != tt.refused || refused && !tt.quota.Limits(tt.added) {
			t.Errorf("%+v, where %+v is added to %+v: %v", tt.quota, tt.added, has, err)
		}
	}
}

func TestSizeCountsEveryTextOfAKey(t *testing.T) {
	key := authsvc.Key{
		Name: "näme", Description: "d", ExternalID: "ex", Metadata: map[string]string{"a": "bc"},
		Scopes: []string{"agent"}, AgentIDs: []string{"a1", "a2"},
	}
	if got, want := key.Size(), int64(5+1+2+3+5+4)+8*32; got != want {
		t.Errorf("the size is %d, want %d", got, want)
	}
}
