package authsvc_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

// oneRow allows one row a second, ten at once.
func oneRow(config *authsvc.CheckerConfig) { config.UnprovedRows = 1 }

// exhaust uses up the ten rows that calls without a key may have in a workspace, which gets a key.
func (fx *fixture) exhaust(t *testing.T, workspaceID string) {
	t.Helper()
	fx.create(t, func(k *authsvc.Key) { k.WorkspaceID = workspaceID })
	for range 10 {
		fx.check(t, "", authsvc.Call{WorkspaceID: workspaceID})
	}
}

func TestCallThatSharesARowIsFoundByTheIDOfItsDecision(t *testing.T) {
	fx := newFixture(t, oneRow)
	fx.exhaust(t, "acme")
	var first authsvc.Entry
	for i := range 50 {
		fx.clock.move(time.Millisecond)
		c := authsvc.Call{AgentType: "agent", WorkspaceID: "acme", Method: "GET", Endpoint: fmt.Sprint("/", i)}
		decided, err := entryOf(t, fx.checker, "", c)
		must(t, err)
		rows := fx.trail.all()
		row := rows[len(rows)-1]
		if i == 0 {
			first = row
		}
		want := first
		if i > 0 {
			want = authsvc.Entry{ID: first.ID, WorkspaceID: "acme", Status: 401, ErrorCode: authsvc.MissingToken}
		}
		want.CallCount = i + 1
		if row != want || len(rows) != 11+i {
			t.Fatalf("call %d appends %+v, want %+v", i, row, want)
		}
		if decided.Endpoint != c.Endpoint || decided.ErrorCode != authsvc.MissingToken || decided.ID != first.ID || decided.CallCount != i+1 {
			t.Errorf("call %d on %s returned %+v, want its own fields with the id and the number of the row", i, c.Endpoint, decided)
		}
	}
}

// TestIDsOfOneCheckerDifferInTimeAndCounterOnly looks at rows of their own and shared ones: such ids take less storage.
func TestIDsOfOneCheckerDifferInTimeAndCounterOnly(t *testing.T) {
	fx := newFixture(t, oneRow)
	for range 3 {
		fx.exhaust(t, "acme")
		fx.check(t, "", authsvc.Call{WorkspaceID: "acme"})
		fx.clock.move(10 * time.Second)
	}
	rows, seen := fx.trail.all(), map[uuid.UUID]bool{}
	for i, row := range rows {
		if counter := binary.BigEndian.Uint16(row.ID[6:]) & 0xfff; counter > 11 || [8]byte(row.ID[8:]) != [8]byte(rows[0].ID[8:]) {
			t.Errorf("row %d has the id %v, the first row %v", i, row.ID, rows[0].ID)
		}
		seen[row.ID] = true
	}
	if len(seen) != 33 {
		t.Errorf("%d rows have %d ids, want 33", len(rows), len(seen))
	}
	replica, err := entryOf(t, fx.checkerOn(t, fx.keyring, fx.trail), "", call)
	must(t, err)
	if [8]byte(replica.ID[8:]) == [8]byte(rows[0].ID[8:]) {
		t.Errorf("another replica made the id %v, this one %v", replica.ID, rows[0].ID)
	}
}

func TestOnlyCallsThatProvedNoKeyShareRows(t *testing.T) {
	fx := newFixture(t, oneRow)
	fx.exhaust(t, "acme")
	_, good := fx.create(t, nil)
	_, off := fx.create(t, func(k *authsvc.Key) { k.Disabled = true })
	_, old := fx.create(t, func(k *authsvc.Key) { k.ExpireTime = fx.clock.now.Add(time.Second) })
	_, narrow := fx.create(t, func(k *authsvc.Key) { k.Scopes = []string{"data_agent"} })
	_, listed := fx.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, []string{"a1"} })
	fx.clock.move(time.Second)
	fx.check(t, "", authsvc.Call{WorkspaceID: "acme"})
	for want, secret := range map[authsvc.ErrorCode]authsvc.PlainSecret{
		"": good, authsvc.Disabled: off, authsvc.Expired: old, authsvc.ScopeDenied: narrow, authsvc.AgentDenied: listed,
	} {
		for range 30 {
			fx.expectCode(t, secret, want) // which wants a row of its own
		}
	}
	if rows := fx.trail.all(); rows[len(rows)-1].CallCount != 1 {
		t.Errorf("the row %+v of a call with a key stands for others", rows[len(rows)-1])
	}
}

func TestCallThatWasRefusedIsNotCounted(t *testing.T) {
	fx := newFixture(t, oneRow, func(config *authsvc.CheckerConfig) { config.RefuseUnrecorded = true })
	fx.exhaust(t, "acme")
	check := func() (authsvc.Entry, error) {
		return entryOf(t, fx.checker, "nonsense", authsvc.Call{AgentType: "agent", WorkspaceID: "acme"})
	}
	for _, want := range []int{1, 0, 0, 2, 0, 3} {
		fx.trail.broken = nil
		if want == 0 {
			fx.trail.broken = fault.New(fault.TrailFull, "the trail is full")
		}
		if decided, err := check(); decided.CallCount != want || (err == nil) != (want > 0) {
			t.Errorf("returned %+v, %v; want a row of %d calls", decided, err, want)
		}
	}
}

func TestCallThatWasDecidedWithoutItsRowIsInTheNextNumber(t *testing.T) {
	fx := newFixture(t, oneRow)
	fx.exhaust(t, "acme")
	// The trail has no room for the row of the first call, so the next row must be whole.
	for i, endpoint := range []string{"/first", "/second"} {
		fx.trail.broken = []error{fault.New(fault.TrailFull, "the trail is full"), nil}[i]
		_, err := entryOf(t, fx.checker, "nonsense", authsvc.Call{AgentType: "agent", WorkspaceID: "acme", Endpoint: endpoint})
		must(t, err)
	}
	if rows := fx.trail.all(); rows[len(rows)-1].Endpoint != "/first" || rows[len(rows)-1].CallCount != 2 {
		t.Errorf("the row behind one that is not on the trail is %+v", rows[len(rows)-1])
	}
	for i, broken := range []error{nil, fault.New(fault.TrailFull, "the trail is full"), nil} {
		fx.trail.broken = broken
		decided, err := entryOf(t, fx.checker, "", authsvc.Call{AgentType: "agent", WorkspaceID: "acme"})
		if err != nil || decided.CallCount != i+1 {
			t.Errorf("call %d returned %+v, %v", i, decided, err)
		}
	}
}

func TestFullTrailRefusesChecksWhereTheOperatorChoseSo(t *testing.T) {
	fx := newFixture(t, func(config *authsvc.CheckerConfig) { config.RefuseUnrecorded = true })
	_, secret := fx.create(t, nil)
	fx.trail.broken = fault.New(fault.TrailFull, "the trail is full")
	for _, apiKey := range []string{secret.Reveal(), ""} {
		entry, err := entryOf(t, fx.checker, apiKey, call)
		expectKind(t, err, fault.Unavailable)
		if entry != (authsvc.Entry{}) {
			t.Errorf("returned %+v with the error", entry)
		}
	}
	fx.trail.broken = nil
	fx.check(t, secret.Reveal(), call)
}
