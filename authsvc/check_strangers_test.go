package authsvc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
)

// oneRow allows one row a second of strangers, ten at once.
func oneRow(config *authsvc.CheckerConfig) { config.StrangerRows = 1 }

// exhaust takes the ten rows that a workspace's strangers may have.
func (w *world) exhaust(t *testing.T, workspaceID string) {
	t.Helper()
	for range 10 {
		w.check(t, "", authsvc.Call{WorkspaceID: workspaceID})
	}
}

func TestCallThatSharesARowIsFoundByTheIDOfItsAnswer(t *testing.T) {
	w := newWorld(t, oneRow)
	w.exhaust(t, "acme")
	var first authsvc.Entry
	for i := range 50 {
		w.clock.move(time.Millisecond)
		c := authsvc.Call{AgentType: "agent", WorkspaceID: "acme", Method: "GET", Endpoint: fmt.Sprint("/", i)}
		answer, err := entryOf(t, w.checker, "", c)
		must(t, err)
		rows := w.trail.all()
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
		if answer.Endpoint != c.Endpoint || answer.ErrorCode != authsvc.MissingToken || answer.ID != first.ID || answer.CallCount != i+1 {
			t.Errorf("call %d on %s is answered %+v, want its own fields with the id and the number of the row", i, c.Endpoint, answer)
		}
	}
}

func TestOnlyCallsThatProvedNoKeyShareRows(t *testing.T) {
	w := newWorld(t, oneRow)
	w.exhaust(t, "acme")
	_, good := w.create(t, nil)
	_, off := w.create(t, func(k *authsvc.Key) { k.Disabled = true })
	_, old := w.create(t, func(k *authsvc.Key) { k.ExpireTime = w.clock.now.Add(time.Second) })
	_, narrow := w.create(t, func(k *authsvc.Key) { k.Scopes = []string{"data_agent"} })
	_, listed := w.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, []string{"a1"} })
	w.clock.move(time.Second)
	w.check(t, "", authsvc.Call{WorkspaceID: "acme"})
	for want, secret := range map[authsvc.ErrorCode]authsvc.PlainSecret{
		"": good, authsvc.Disabled: off, authsvc.Expired: old, authsvc.ScopeDenied: narrow, authsvc.AgentDenied: listed,
	} {
		for range 30 {
			w.expectCode(t, secret, want) // which wants a row of its own
		}
	}
	if rows := w.trail.all(); rows[len(rows)-1].CallCount != 1 {
		t.Errorf("the row %+v of a call with a key stands for others", rows[len(rows)-1])
	}
}

func TestCallThatWasNotAnsweredIsNotCounted(t *testing.T) {
	w := newWorld(t, oneRow, func(config *authsvc.CheckerConfig) { config.RefuseUnrecorded = true })
	w.exhaust(t, "acme")
	check := func() (authsvc.Entry, error) {
		return entryOf(t, w.checker, "nonsense", authsvc.Call{AgentType: "agent", WorkspaceID: "acme"})
	}
	for _, want := range []int{1, 0, 0, 2, 0, 3} {
		w.trail.broken = nil
		if want == 0 {
			w.trail.broken = fault.New(fault.TrailFull, "the trail is full")
		}
		if answer, err := check(); answer.CallCount != want || (err == nil) != (want > 0) {
			t.Errorf("answered %+v, %v; want a row of %d calls", answer, err, want)
		}
	}
}

func TestCallThatWasAnsweredWithoutItsRowIsInTheNextNumber(t *testing.T) {
	w := newWorld(t, oneRow)
	w.exhaust(t, "acme")
	// The first one's row is the one that finds no room: the next must hold what it said.
	for i, endpoint := range []string{"/first", "/second"} {
		w.trail.broken = []error{fault.New(fault.TrailFull, "the trail is full"), nil}[i]
		_, err := entryOf(t, w.checker, "nonsense", authsvc.Call{AgentType: "agent", WorkspaceID: "acme", Endpoint: endpoint})
		must(t, err)
	}
	if rows := w.trail.all(); rows[len(rows)-1].Endpoint != "/first" || rows[len(rows)-1].CallCount != 2 {
		t.Errorf("the row behind one that is not on the trail is %+v", rows[len(rows)-1])
	}
	for i, broken := range []error{nil, fault.New(fault.TrailFull, "the trail is full"), nil} {
		w.trail.broken = broken
		answer, err := entryOf(t, w.checker, "", authsvc.Call{AgentType: "agent", WorkspaceID: "acme"})
		if err != nil || answer.CallCount != i+1 {
			t.Errorf("call %d is answered %+v, %v", i, answer, err)
		}
	}
}

func TestFullTrailRefusesChecksWhereTheOperatorChoseSo(t *testing.T) {
	w := newWorld(t, func(config *authsvc.CheckerConfig) { config.RefuseUnrecorded = true })
	_, secret := w.create(t, nil)
	w.trail.broken = fault.New(fault.TrailFull, "the trail is full")
	for _, apiKey := range []string{secret.Reveal(), ""} {
		entry, err := entryOf(t, w.checker, apiKey, call)
		expectKind(t, err, fault.Unavailable)
		if entry != (authsvc.Entry{}) {
			t.Errorf("answers %+v with the error", entry)
		}
	}
	w.trail.broken = nil
	w.check(t, secret.Reveal(), call)
}
