package authsvc_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/authsvc"
)

// outcome is the report of an entry, as the backend makes it.
func (w *world) outcome(entry authsvc.Entry) authsvc.Outcome {
	signature := w.checker.Sign(entry)
	entry.Status, entry.Latency = 201, 250*time.Millisecond
	return authsvc.Outcome{Entry: entry, Signature: signature}
}

// reported reports outcomes and answers the rows that this appended.
func (w *world) reported(t *testing.T, outcomes ...authsvc.Outcome) []authsvc.Entry {
	t.Helper()
	before := len(w.trail.all())
	must(t, w.checker.Report(t.Context(), outcomes))
	return w.trail.all()[before:]
}

func TestReportFinishesTheRowOfAnAllowedCall(t *testing.T) {
	w := newWorld(t)
	_, secret := w.create(t, nil)
	entry := w.check(t, secret.Reveal(), call)
	want := entry
	want.Status, want.Latency = 201, 250*time.Millisecond
	if diff := cmp.Diff([]authsvc.Entry{want}, w.reported(t, w.outcome(entry))); diff != "" {
		t.Errorf("appended (-want +got):\n%s", diff)
	}
}

func TestReportPassesOverWhatDidNotComeFromACheck(t *testing.T) {
	w := newWorld(t)
	_, secret := w.create(t, nil)
	entry := w.check(t, secret.Reveal(), call)
	denied := w.check(t, "", call)
	altered := func(change func(*authsvc.Entry)) authsvc.Outcome {
		o := w.outcome(entry)
		change(&o.Entry)
		return o
	}
	forged := w.outcome(entry)
	forged.Signature = newWorld(t).checker.Sign(entry)
	unsigned := w.outcome(entry)
	unsigned.Signature = ""
	for name, outcome := range map[string]authsvc.Outcome{
		"moved to another workspace": altered(func(e *authsvc.Entry) { e.WorkspaceID = "globex" }),
		"of another key":             altered(func(e *authsvc.Entry) { e.KeyName = "other" }),
		"of another endpoint":        altered(func(e *authsvc.Entry) { e.Endpoint = "/" }),
		"of another call":            altered(func(e *authsvc.Entry) { e.ID = denied.ID }),
		"signed by another platform": forged,
		"unsigned":                   unsigned,
		"denied":                     w.outcome(denied),
		"denied, made allowed": func() authsvc.Outcome {
			o := w.outcome(denied)
			o.Entry.ErrorCode = ""
			return o
		}(),
	} {
		if got := w.reported(t, outcome); len(got) != 0 {
			t.Errorf("an outcome that is %s appends %+v", name, got)
		}
		if got := w.reported(t, outcome, w.outcome(entry), outcome); len(got) != 1 || got[0].ID != entry.ID {
			t.Errorf("a good outcome among those that are %s: appends %+v", name, got)
		}
	}
}

func TestReportMayReachAnotherReplica(t *testing.T) {
	w := newWorld(t)
	_, secret := w.create(t, nil)
	entry := w.check(t, secret.Reveal(), call)
	signingKey, err := w.store.SigningKey(t.Context())
	must(t, err)
	other := &rows{}
	replica := authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: authsvc.NewKeyring(w.store, w.clock.Now), Trail: other, SigningKey: signingKey, Now: w.clock.Now,
	})
	must(t, replica.Report(t.Context(), []authsvc.Outcome{w.outcome(entry)}))
	if got := other.all(); len(got) != 1 || got[0].ID != entry.ID || got[0].Status != 201 {
		t.Errorf("the other replica appends %+v", got)
	}
}

func TestReportSaysWhenTheTrailDidNotTakeIt(t *testing.T) {
	w := newWorld(t)
	_, secret := w.create(t, nil)
	outcome := w.outcome(w.check(t, secret.Reveal(), call))
	w.trail.broken = errors.New("disk full")
	if err := w.checker.Report(t.Context(), []authsvc.Outcome{outcome}); !errors.Is(err, w.trail.broken) {
		t.Errorf("error %v, want the trail's", err)
	}
	outcome.Signature = "forged"
	if err := w.checker.Report(t.Context(), []authsvc.Outcome{outcome}); err != nil {
		t.Errorf("error %v for an outcome that is passed over", err)
	}
}
