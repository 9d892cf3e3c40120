package authsvc_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
)

func TestSnapshotHoldsWhatAKeyringNeeds(t *testing.T) {
	fx := newFixture(t)
	key, first := fx.create(t, func(k *authsvc.Key) {
		k.AllAgents, k.AgentIDs, k.ExternalID, k.Metadata = false, []string{"a", "b"}, "customer", map[string]string{"plan": "gold"}
		k.Description, k.ExpireTime = "a description", fx.clock.now.Add(time.Hour)
	})
	_, second, err := fx.keys.Rotate(t.Context(), "acme", key.ID, time.Minute, uuid.Nil)
	must(t, err)
	deleted, deletedSecret := fx.create(t, nil)
	disabled, disabledSecret := fx.create(t, func(k *authsvc.Key) { k.WorkspaceID = "globex" })
	_, err = fx.keys.Update(t.Context(), "globex", disabled.ID, "", changing(func(k *authsvc.Key) { k.Disabled = true }))
	must(t, err)
	before := fx.keyring.Stats()
	var file bytes.Buffer
	position, err := fx.keyring.WriteSnapshot(t.Context(), &file, "db", []byte("token key"))
	must(t, err)
	if position != before.Position {
		t.Errorf("the snapshot has the position %v, the keyring %v", position, before.Position)
	}
	if bytes.Contains(file.Bytes(), []byte("a description")) {
		t.Error("the snapshot has what no check needs")
	}

	fx.clock.move(time.Second)
	ring := authsvc.NewKeyring(fx.store, fx.clock.Now)
	tokenKey, err := ring.ReadSnapshot(bytes.NewReader(file.Bytes()), "db")
	must(t, err)
	before.Staleness += time.Second
	if after := ring.Stats(); after != before || string(tokenKey) != "token key" {
		t.Errorf("read %+v with the token key %q, want %+v", after, tokenKey, before)
	}
	checker := fx.checkerOn(t, ring, fx.trail)
	expect := func(secret authsvc.PlainSecret, agent string, want authsvc.ErrorCode) {
		t.Helper()
		call := authsvc.Call{AgentType: "agent", AgentID: agent}
		got, err := checker.Check(t.Context(), secret.Reveal(), call)
		must(t, err)
		same, err := fx.checker.Check(t.Context(), secret.Reveal(), call)
		must(t, err)
		got.Entry.ID, got.ReportToken = same.Entry.ID, ""
		if got.Entry != same.Entry || got.Entry.ErrorCode != want || got.Metadata["plan"] != same.Metadata["plan"] {
			t.Errorf("from the snapshot %+v, want %q and %+v", got, want, same)
		}
	}
	expect(first, "b", "")
	expect(second, "a", "")
	expect(second, "c", authsvc.AgentDenied)
	expect(disabledSecret, "a", authsvc.Disabled)
	expect(deletedSecret, "a", "")

	must(t, fx.keys.Delete(t.Context(), "acme", deleted.ID, ""))
	must(t, ring.Refresh(t.Context()))
	expect(deletedSecret, "a", authsvc.InvalidToken)
	fx.clock.move(time.Hour)
	expect(first, "b", authsvc.Expired)
	expect(second, "b", authsvc.Expired)
}

func TestKeyringThatIsNotLoadedHasNoSnapshot(t *testing.T) {
	fx := newFixture(t)
	if _, err := authsvc.NewKeyring(fx.store, fx.clock.Now).WriteSnapshot(t.Context(), &bytes.Buffer{}, "db", nil); err == nil {
		t.Error("no error")
	}
}

func TestSnapshotFromTheFutureIsNotFresh(t *testing.T) {
	fx := newFixture(t)
	fx.create(t, nil)
	var file bytes.Buffer
	_, err := fx.keyring.WriteSnapshot(t.Context(), &file, "db", nil)
	must(t, err)
	fx.clock.move(-time.Hour)
	ring := authsvc.NewKeyring(fx.store, fx.clock.Now)
	_, err = ring.ReadSnapshot(bytes.NewReader(file.Bytes()), "db")
	must(t, err)
	fx.clock.move(time.Minute)
	if age := ring.Stats().Staleness; age != time.Minute {
		t.Errorf("a minute later it is %v stale", age)
	}
}
