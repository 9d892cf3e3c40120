package authsvc_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/authsvc"
)

func TestChecksAreCountedByTheirResult(t *testing.T) {
	fx := newFixture(t)
	for _, secret := range []string{"", "", "sk_unknown"} {
		_, err := entryOf(t, fx.checker, secret, authsvc.Call{AgentType: "agent"})
		must(t, err)
	}
	want := map[authsvc.ErrorCode]int64{
		"": 0, "missing_token": 2, "invalid_token": 1, "disabled": 0, "expired": 0, "scope_denied": 0, "agent_denied": 0,
	}
	if diff := cmp.Diff(want, fx.checker.Results()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestKeyringTellsWhatItHolds(t *testing.T) {
	fx := newFixture(t)
	key, _ := fx.create(t, nil)
	fx.create(t, nil)
	rotate(t, fx, key, time.Hour)
	fx.clock.move(3 * time.Second)
	stats := fx.keyring.Stats()
	if stats.Keys != 2 || stats.Secrets != 3 || stats.Revision != 3 || stats.Staleness != 3*time.Second {
		t.Errorf("it holds %+v", stats)
	}
	must(t, fx.keys.Delete(t.Context(), "acme", key.ID, ""))
	if stats := fx.keyring.Stats(); stats.Keys != 1 || stats.Secrets != 1 || stats.Revision != 4 || stats.Staleness != 0 {
		t.Errorf("after a key was deleted it holds %+v", stats)
	}
}
