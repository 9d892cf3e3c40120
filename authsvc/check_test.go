package authsvc_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// call has a value in every field.
var call = authsvc.Call{AgentType: "agent", AgentID: "a1", Method: "POST", Endpoint: "/v1/agents/a1?token=t"}

// expectRow compares everything in an entry except its id, which must have the time of the call.
func expectRow(t *testing.T, got, want authsvc.Entry, at time.Time) {
	t.Helper()
	if !uuid7.Valid(got.ID) || !uuid7.Time(got.ID).Equal(at) {
		t.Errorf("the id %v is not a UUIDv7 of %v", got.ID, at)
	}
	got.ID = uuid.Nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestAllowedCallIsInProgressWithTheSnapshotOfItsKey(t *testing.T) {
	fx := newFixture(t)
	key, secret := fx.create(t, nil)
	fx.clock.tick = time.Millisecond
	at := fx.clock.now
	expectRow(t, fx.check(t, secret.Reveal(), call), authsvc.Entry{
		WorkspaceID: "acme", KeyID: key.ID, KeyName: "production", KeyLast4: secret.Last4(),
		AgentType: "agent", AgentID: "a1", Method: "POST", Endpoint: "/v1/agents/a1", CallCount: 1,
	}, at)
}

func TestDeniedCallHasItsStatusAndNoLatencyYet(t *testing.T) {
	fx := newFixture(t)
	key, secret := fx.create(t, func(k *authsvc.Key) { k.Scopes, k.ExternalID = []string{"data_agent"}, "customer 7" })
	fx.clock.tick = 1500 * time.Microsecond
	at := fx.clock.now
	expectRow(t, fx.check(t, secret.Reveal(), call), authsvc.Entry{
		WorkspaceID: "acme", KeyID: key.ID, KeyName: "production", KeyLast4: secret.Last4(), ExternalID: "customer 7",
		AgentType: "agent", AgentID: "a1", Method: "POST", Endpoint: "/v1/agents/a1",
		ErrorCode: authsvc.ScopeDenied, Status: 403, CallCount: 1,
	}, at)
}

func TestRowsOfUnprovedCallsGoWhereTheAgentIs(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	unknown := authsvc.NewSecret().Reveal()
	tests := []struct {
		name, apiKey, workspace, want string
		code                          authsvc.ErrorCode
	}{
		{"no header", "", "globex", "globex", authsvc.MissingToken},
		{"no header, no workspace", "", "", authsvc.Unattributed, authsvc.MissingToken},
		{"a well-formed secret that is unknown", unknown, "globex", "globex", authsvc.InvalidToken},
		{"a well-formed secret that is unknown, no workspace", unknown, "", authsvc.Unattributed, authsvc.InvalidToken},
		{"not a secret", "Bearer abc", "globex", "globex", authsvc.InvalidToken},
		{"control characters", "\x00\x1b", "", authsvc.Unattributed, authsvc.InvalidToken},
		{"10 MB", strings.Repeat("k", 10<<20), "", authsvc.Unattributed, authsvc.InvalidToken},
		{"a stray space", secret.Reveal() + " ", "acme", "acme", authsvc.InvalidToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := call
			c.WorkspaceID = tt.workspace
			expectRow(t, fx.check(t, tt.apiKey, c), authsvc.Entry{
				WorkspaceID: tt.want, AgentType: "agent", AgentID: "a1", Method: "POST", Endpoint: "/v1/agents/a1",
				ErrorCode: tt.code, Status: 401, CallCount: 1,
			}, fx.clock.now)
		})
	}
}

func TestKeyOnAnotherWorkspacesAgentIsDeniedInItsOwnWorkspace(t *testing.T) {
	fx := newFixture(t)
	key, secret := fx.create(t, nil)
	c := call
	c.WorkspaceID = "globex"
	entry := fx.check(t, secret.Reveal(), c)
	if entry.WorkspaceID != "acme" || entry.ErrorCode != authsvc.AgentDenied || entry.Cause != authsvc.OtherWorkspace || entry.Status != 403 || entry.KeyID != key.ID {
		t.Errorf("the row is %+v, want agent_denied in acme", entry)
	}
	for _, row := range fx.trail.all() {
		if row.WorkspaceID == "globex" {
			t.Errorf("globex holds the row %+v of a key of acme", row)
		}
	}
}

func TestSnapshotIsOfTheSecretThatWasSentAtThatTime(t *testing.T) {
	fx := newFixture(t)
	key, first := fx.create(t, nil)
	before := fx.check(t, first.Reveal(), call)
	_, second, err := fx.keys.Rotate(t.Context(), "acme", key.ID, time.Hour, uuid.Nil)
	must(t, err)
	_, err = fx.keys.Update(t.Context(), "acme", key.ID, "", changing(func(k *authsvc.Key) { k.Name = "renamed" }))
	must(t, err)
	old, current := fx.check(t, first.Reveal(), call), fx.check(t, second.Reveal(), call)
	must(t, fx.keys.Delete(t.Context(), "acme", key.ID, ""))

	for _, tt := range []struct {
		row         authsvc.Entry
		name, last4 string
	}{{before, "production", first.Last4()}, {old, "renamed", first.Last4()}, {current, "renamed", second.Last4()}} {
		if tt.row.KeyName != tt.name || tt.row.KeyLast4 != tt.last4 || tt.row.KeyID != key.ID {
			t.Errorf("the row %+v, want the name %q and the last4 %q", tt.row, tt.name, tt.last4)
		}
	}
	if rows := fx.trail.all(); rows[0] != before {
		t.Errorf("the first row became %+v", rows[0])
	}
}

func TestUnknownAgentTypeIsTheBackendsMistakeAndLeavesNoRow(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	for _, apiKey := range []string{"", secret.Reveal()} {
		_, err := entryOf(t, fx.checker, apiKey, authsvc.Call{AgentType: "robot"})
		expectInvalid(t, err, "agent_type")
	}
	if rows := fx.trail.all(); len(rows) != 0 {
		t.Errorf("rows %+v of calls that were never checked", rows)
	}
}

func TestCheckReturnsNothingIfTheTrailIsBroken(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	fx.trail.broken = errors.New("disk gone")
	entry, err := entryOf(t, fx.checker, secret.Reveal(), call)
	if entry != (authsvc.Entry{}) || !errors.Is(err, fx.trail.broken) {
		t.Errorf("returned %+v, %v; want no entry and the trail's error", entry, err)
	}
}

func TestFullTrailLetsChecksGoOnAndRefusesReports(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	fx.trail.broken = fault.New(fault.TrailFull, "the trail is full")
	entry, err := entryOf(t, fx.checker, secret.Reveal(), call)
	if err != nil || entry.ErrorCode != "" || entry.WorkspaceID != "acme" {
		t.Errorf("an allowed call returned %+v, %v", entry, err)
	}
	if denied, err := entryOf(t, fx.checker, "", call); err != nil || denied.ErrorCode != authsvc.MissingToken {
		t.Errorf("a denied call returned %+v, %v", denied, err)
	}
	fx.trail.broken = nil
	outcome := fx.outcome(fx.decide(t, secret.Reveal(), call))
	fx.trail.broken = fault.New(fault.TrailFull, "the trail is full")
	_, err = fx.checker.Report(t.Context(), []authsvc.Outcome{outcome}, anyWorkspace)
	expectKind(t, err, fault.Unavailable)
}

func TestDecisionIsMadeOnWhatTheCallerSentAndTheRowKeepsItClean(t *testing.T) {
	fx := newFixture(t)
	id := "a\x00" + strings.Repeat("🙂", 300)
	_, secret := fx.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, []string{id} })
	for sent, want := range map[string]authsvc.ErrorCode{
		id: "", id + "x": authsvc.AgentDenied, "a%00" + strings.Repeat("🙂", 251): authsvc.AgentDenied,
	} {
		c := call
		c.AgentID, c.Method = sent, "PO\x00ST"+strings.Repeat("T", 1<<20)
		entry := fx.check(t, secret.Reveal(), c)
		if entry.ErrorCode != want || entry.AgentID != "a%00"+strings.Repeat("🙂", 251) || entry.Method != "PO%00ST"+strings.Repeat("T", 25) {
			t.Errorf("the row of a call on %.10q is %+v, want %q", sent, entry, want)
		}
	}
}

func TestSecretInTheWrongPlaceIsNotKept(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	text := secret.Reveal()
	row := fx.check(t, text, authsvc.Call{AgentID: text, Method: text, Endpoint: "/" + text})
	if row.AgentID != "sk_…" || row.Method != "sk_…" || row.Endpoint != "/sk_…" || row.ErrorCode != "" {
		t.Errorf("kept as %q, %q and %q, with the code %q", row.AgentID, row.Method, row.Endpoint, row.ErrorCode)
	}
}

// callAt returns a call with an id of the caller.
func callAt(at time.Time) authsvc.Call {
	c := call
	c.ID = uuid7.New(at)
	return c
}

func TestCallIDIsTheIDOfTheRowHoweverOftenAndWhereverItIsChecked(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	c := callAt(fx.clock.now.Add(-time.Minute))
	first := fx.check(t, secret.Reveal(), c)
	fx.clock.move(time.Second - time.Millisecond)
	c.ID = uuid7.New(fx.clock.now)
	ring := authsvc.NewKeyring(fx.store, fx.clock.Now)
	must(t, ring.Refresh(t.Context()))
	replica := fx.checkerOn(t, ring, fx.trail)
	second := fx.check(t, secret.Reveal(), c)
	again, err := entryOf(t, replica, secret.Reveal(), c)
	must(t, err)
	if first.ID == second.ID || second.ID != c.ID || again.ID != c.ID {
		t.Errorf("the rows are %v, %v and %v; want the call id %v for the last two", first.ID, second.ID, again.ID, c.ID)
	}
}

func TestCallIDIsAtMostAMinuteOffTheClock(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	for off, good := range map[time.Duration]bool{
		0: true, time.Minute: true, -time.Minute: true, time.Minute + time.Millisecond: false, -time.Minute - time.Millisecond: false,
		24 * time.Hour: false,
	} {
		_, err := fx.checker.Check(t.Context(), secret.Reveal(), callAt(fx.clock.now.Add(off)))
		f, _ := errors.AsType[*fault.Error](err)
		switch {
		case good && err != nil:
			t.Errorf("%v off: %v", off, err)
		case !good && (f == nil || f.Reason != fault.CallIDClock || f.Metadata["server_time"] != "2026-05-01T12:00:00.000Z" || !strings.Contains(f.Message, "2026-05-01T12:00:00.000Z")):
			t.Errorf("%v off: %v, want the reason CALL_ID_CLOCK and the time of the service", off, err)
		}
	}
	c := call
	c.ID = uuid.New()
	_, err := fx.checker.Check(t.Context(), secret.Reveal(), c)
	expectInvalid(t, err, "call_id")
}

func TestSharedRowIgnoresTheCallID(t *testing.T) {
	fx := newFixture(t, oneRow)
	fx.exhaust(t, authsvc.Unattributed)
	c := callAt(fx.clock.now)
	first, second := fx.decide(t, "", c), authsvc.Decision{}
	second, err := fx.checker.Check(t.Context(), "", c)
	must(t, err)
	if first.Entry.ID == c.ID || second.Entry.ID != first.Entry.ID || second.Entry.CallCount != 2 {
		t.Errorf("two calls with the id %v are %+v and %+v, want one row with an id of its own and 2 calls", c.ID, first.Entry, second.Entry)
	}
	if first.ReportToken != "" || second.ReportToken != "" {
		t.Error("a call that shares a row can be reported")
	}
}

func TestDecisionHasTheMetadataOfTheKey(t *testing.T) {
	fx := newFixture(t)
	want := map[string]string{"plan": "gold"}
	_, secret := fx.create(t, func(k *authsvc.Key) { k.Metadata, k.ExternalID = want, "customer 7" })
	_, plain := fx.create(t, nil)
	got := fx.decide(t, secret.Reveal(), call)
	if diff := cmp.Diff(want, got.Metadata); diff != "" || got.Entry.ExternalID != "customer 7" {
		t.Errorf("decided %+v", got)
	}
	if got := fx.decide(t, plain.Reveal(), call); got.Metadata != nil || got.Entry.ExternalID != "" {
		t.Errorf("a key without metadata: %+v", got)
	}
}
