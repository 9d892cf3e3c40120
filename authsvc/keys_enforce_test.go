package authsvc_test

import (
	"strings"
	"testing"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

func TestStoredChangeThatIsNotInForceYetIsNoSuccess(t *testing.T) {
	w := newWorld(t)
	key, _ := w.create(t, nil)
	store := &brokenStore{Store: w.store}
	keys := authsvc.NewKeys(store, authsvc.NewKeyring(store, w.clock.Now), authsvc.DefaultAgentTypes, w.clock.Now)
	store.broken.Store(true)
	_, updated := keys.Update(t.Context(), "acme", key.ID, func(k *authsvc.Key) { k.Disabled = true })
	got, err := keys.Get(t.Context(), "acme", key.ID)
	must(t, err)
	if !got.Disabled {
		t.Error("the change is not stored")
	}
	deleted := keys.Delete(t.Context(), "acme", key.ID)
	for _, err := range []error{updated, deleted} {
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "is stored") {
			t.Errorf("error %v, want UNAVAILABLE and that the change is stored", err)
		}
	}
}
