package authsvc_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

func TestCreateStoresWhatItReturnsAndNoSecret(t *testing.T) {
	fx := newFixture(t)
	fx.clock.move(1234567 * time.Nanosecond)
	key, secret := fx.create(t, func(k *authsvc.Key) {
		k.AllAgents, k.AgentIDs = false, []string{"a1", "a2"}
		k.ExpireTime = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	})
	now := time.Date(2026, 5, 1, 12, 0, 0, 1e6, time.UTC)
	want := authsvc.Key{
		ID: key.ID, WorkspaceID: "acme", Name: "production", Scopes: []string{"agent"}, AgentIDs: []string{"a1", "a2"},
		ExpireTime: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), CreateTime: now, UpdateTime: now,
		Secrets: []authsvc.Secret{{Digest: secret.Digest(), Last4: secret.Last4(), CreateTime: now}},
	}
	stored, err := fx.keys.Get(t.Context(), "acme", key.ID)
	must(t, err)
	for name, got := range map[string]authsvc.Key{"returned": key, "stored": stored} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the %s key (-want +got):\n%s", name, diff)
		}
	}
	if key.ID == uuid.Nil {
		t.Error("the key has no id")
	}
}

func TestCreateRefusesKeysThatMakeNoSense(t *testing.T) {
	tests := map[string]struct {
		change func(*authsvc.Key)
		field  string
	}{
		"no name":                         {func(k *authsvc.Key) { k.Name = "" }, "key.name"},
		"a blank name":                    {func(k *authsvc.Key) { k.Name = " \t\u00a0" }, "key.name"},
		"no scope":                        {func(k *authsvc.Key) { k.Scopes = nil }, "key.scopes"},
		"an unknown scope":                {func(k *authsvc.Key) { k.Scopes = []string{"agent", "robot"} }, "key.scopes[1]"},
		"all agents and some":             {func(k *authsvc.Key) { k.AgentIDs = []string{"a1"} }, "key.agent_ids"},
		"no agents":                       {func(k *authsvc.Key) { k.AllAgents = false }, "key.agent_ids"},
		"an expiry in the past":           {func(k *authsvc.Key) { k.ExpireTime = k.ExpireTime.Add(-time.Millisecond) }, "key.expire_time"},
		"an expiry now":                   {func(k *authsvc.Key) {}, "key.expire_time"},
		"an expiry before there was time": {func(k *authsvc.Key) { k.ExpireTime = time.Unix(-1, 0) }, "key.expire_time"},
	}
	fx := newFixture(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			draft := authsvc.Key{
				WorkspaceID: "acme", Name: "n", Scopes: []string{"agent"}, AllAgents: true, ExpireTime: fx.clock.now,
			}
			tt.change(&draft)
			_, _, err := fx.keys.Create(t.Context(), draft, uuid.Nil)
			expectInvalid(t, err, tt.field)
			if keys, _, err := fx.keys.List(t.Context(), authsvc.KeyQuery{WorkspaceID: "acme", Limit: 10}); err != nil || len(keys) != 0 {
				t.Errorf("the refused key is stored: %v, %v", keys, err)
			}
		})
	}
}

func TestNamesNeedNotBeUnique(t *testing.T) {
	fx := newFixture(t)
	a, _ := fx.create(t, nil)
	b, _ := fx.create(t, nil)
	if a.ID == b.ID || a.Name != b.Name {
		t.Errorf("two keys of one name: %v and %v", a, b)
	}
}

func TestUpdateRefusesWhatCreateRefusesAndLeavesTheKey(t *testing.T) {
	fx := newFixture(t)
	key, secret := fx.create(t, nil)
	fx.clock.move(time.Hour)
	for field, change := range map[string]func(*authsvc.Key){
		"key.name":      func(k *authsvc.Key) { k.Name = " " },
		"key.scopes":    func(k *authsvc.Key) { k.Scopes = nil },
		"key.scopes[0]": func(k *authsvc.Key) { k.Scopes = []string{"robot"} },
		"key.agent_ids": func(k *authsvc.Key) { k.AllAgents = false },
	} {
		_, err := fx.keys.Update(t.Context(), "acme", key.ID, "", changing(change))
		expectInvalid(t, err, field)
	}
	got, err := fx.keys.Get(t.Context(), "acme", key.ID)
	must(t, err)
	if diff := cmp.Diff(key, got); diff != "" {
		t.Errorf("a refused update changed the key (-want +got):\n%s", diff)
	}
	fx.expectCode(t, secret, "")
}

func TestUpdateMayEndAKeyNow(t *testing.T) {
	fx := newFixture(t)
	key, secret := fx.create(t, nil)
	fx.clock.move(time.Hour)
	got, err := fx.keys.Update(t.Context(), "acme", key.ID, "", changing(func(k *authsvc.Key) { k.ExpireTime = fx.clock.now }))
	must(t, err)
	if !got.UpdateTime.Equal(fx.clock.now) || !got.CreateTime.Equal(key.CreateTime) {
		t.Errorf("updated %v, created %v", got.UpdateTime, got.CreateTime)
	}
	fx.expectCode(t, secret, authsvc.Expired)
}

func TestKeysOfAnotherWorkspaceAreNotFound(t *testing.T) {
	fx := newFixture(t)
	key, secret := fx.create(t, nil)
	_, err := fx.keys.Get(t.Context(), "globex", key.ID)
	expectKind(t, err, fault.NotFound)
	_, err = fx.keys.Update(t.Context(), "globex", key.ID, "", changing(func(k *authsvc.Key) { k.Disabled = true }))
	expectKind(t, err, fault.NotFound)
	_, other, err := fx.keys.Rotate(t.Context(), "globex", key.ID, 0, uuid.Nil)
	expectKind(t, err, fault.NotFound)
	if other.Reveal() != "" {
		t.Error("a rotation that failed returned a secret")
	}
	err = fx.keys.Delete(t.Context(), "globex", key.ID, "")
	expectKind(t, err, fault.NotFound)
	if !errors.Is(err, authsvc.ErrNotFound) {
		t.Errorf("error %v is not ErrNotFound", err)
	}
	fx.expectCode(t, secret, "")
}
