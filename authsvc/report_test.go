package authsvc_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/authsvc"
)

// outcome returns the outcome of a call, as the backend reports it.
func (fx *fixture) outcome(decision authsvc.Decision) authsvc.Outcome {
	return authsvc.Outcome{ReportToken: decision.ReportToken, Status: 404, Latency: 12 * time.Millisecond}
}

func anyWorkspace(string) bool { return true }

// report reports outcomes and returns the appended rows and the refused outcomes.
func (fx *fixture) report(t *testing.T, mayReport func(string) bool, outcomes ...authsvc.Outcome) ([]authsvc.Entry, []authsvc.RefusedOutcome) {
	t.Helper()
	before := len(fx.trail.all())
	refused, err := fx.checker.Report(t.Context(), outcomes, mayReport)
	must(t, err)
	return fx.trail.all()[before:], refused
}

// reported returns a row after the report of outcome.
func reported(row authsvc.Entry) authsvc.Entry {
	row.Status, row.Latency, row.Reported, row.FromReport = 404, 12*time.Millisecond, true, true
	return row
}

func TestReportCompletesTheRowsOfAllowedAndDeniedCalls(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, func(k *authsvc.Key) { k.ExternalID = "customer 7" })
	_, listed := fx.create(t, func(k *authsvc.Key) { k.AllAgents, k.AgentIDs = false, []string{"a2"} })
	anonymous := call
	anonymous.AgentID = ""
	for name, decision := range map[string]authsvc.Decision{
		"allowed":             fx.decide(t, secret.Reveal(), call),
		"denied":              fx.decide(t, listed.Reveal(), call),
		"denied with a cause": fx.decide(t, listed.Reveal(), anonymous),
		"without a key":       fx.decide(t, "", call),
	} {
		rows, refused := fx.report(t, anyWorkspace, fx.outcome(decision))
		if diff := cmp.Diff([]authsvc.Entry{reported(decision.Entry)}, rows); diff != "" || len(refused) != 0 {
			t.Errorf("%s: refused %v, appended (-want +got):\n%s", name, refused, diff)
		}
	}
}

func TestReportTokenWithAnyByteFlippedIsRefusedAndCounted(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	good := fx.outcome(fx.decide(t, secret.Reveal(), call))
	raw, err := base64.RawURLEncoding.DecodeString(good.ReportToken)
	must(t, err)
	for i := range raw {
		flipped := append([]byte(nil), raw...)
		flipped[i] ^= 1 << (i % 8)
		bad := good
		bad.ReportToken = base64.RawURLEncoding.EncodeToString(flipped)
		rows, refused := fx.report(t, anyWorkspace, bad, good)
		if len(rows) != 1 || len(refused) != 1 || refused[0] != (authsvc.RefusedOutcome{Index: 0, Reason: authsvc.InvalidReport}) {
			t.Fatalf("byte %d flipped: appended %d rows, refused %v", i, len(rows), refused)
		}
	}
	if got := fx.checker.RefusedReports()[authsvc.InvalidReport]; got != int64(len(raw)) {
		t.Errorf("%d refusals are counted, want %d", got, len(raw))
	}
}

func TestReportRefusesWhatIsNoTokenOfThisPlatform(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	good := fx.outcome(fx.decide(t, secret.Reveal(), call))
	elsewhere := newFixture(t)
	for name, token := range map[string]string{
		"empty": "", "of another platform": elsewhere.decide(t, "", call).ReportToken, "cut short": good.ReportToken[:len(good.ReportToken)-4],
		"longer": good.ReportToken + "AAAA", "padded": good.ReportToken + "=", "not base64url": "+" + good.ReportToken[1:],
		"two": good.ReportToken + good.ReportToken, "very long": strings.Repeat("A", 1<<20), "a header alone": good.ReportToken[:32], "long": strings.Repeat("A", 4096),
	} {
		bad := good
		bad.ReportToken = token
		rows, refused := fx.report(t, anyWorkspace, good, bad, good)
		if len(rows) != 2 || len(refused) != 1 || refused[0] != (authsvc.RefusedOutcome{Index: 1, Reason: authsvc.InvalidReport}) {
			t.Errorf("a token that is %s: appended %d rows, refused %v", name, len(rows), refused)
		}
	}
}

func TestReportTokenIsValidFor25HoursFromTheCall(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	outcome := fx.outcome(fx.decide(t, secret.Reveal(), call))
	fx.clock.move(25 * time.Hour)
	if rows, refused := fx.report(t, anyWorkspace, outcome); len(rows) != 1 || len(refused) != 0 {
		t.Errorf("after 25 hours: %d rows, refused %v", len(rows), refused)
	}
	fx.clock.move(time.Millisecond)
	if rows, refused := fx.report(t, anyWorkspace, outcome); len(rows) != 0 || len(refused) != 1 || refused[0].Reason != authsvc.ExpiredReport {
		t.Errorf("a millisecond later: %d rows, refused %v", len(rows), refused)
	}
	if got := fx.checker.RefusedReports()[authsvc.ExpiredReport]; got != 1 {
		t.Errorf("%d refusals are counted, want 1", got)
	}
}

func TestReportIsOfTheWorkspaceThatWasChecked(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	inAcme, inGlobex := call, call
	inAcme.WorkspaceID, inGlobex.WorkspaceID = "acme", "globex"
	for name, tt := range map[string]struct {
		apiKey string
		call   authsvc.Call
		may    string
	}{
		"the key's and the call's":                         {secret.Reveal(), inAcme, "acme"},
		"the call's, where the key is of another":          {secret.Reveal(), inGlobex, "globex"},
		"the key's, where the call names none":             {secret.Reveal(), call, "acme"},
		"the call's, where there is no key":                {"", inGlobex, "globex"},
		"the reserved one, where there is neither of them": {"", call, authsvc.Unattributed},
	} {
		decision := fx.decide(t, tt.apiKey, tt.call)
		for _, workspace := range []string{"acme", "globex", authsvc.Unattributed, ""} {
			rows, refused := fx.report(t, func(asked string) bool { return asked == workspace }, fx.outcome(decision))
			good := workspace == tt.may
			row := reported(decision.Entry)
			if row.ErrorCode == authsvc.AgentDenied {
				row.KeyName, row.ExternalID = "", "" // the length of the token must not reveal them to the other workspace
			}
			if good && (len(rows) != 1 || rows[0] != row) || !good && (len(refused) != 1 || refused[0].Reason != authsvc.ForeignReport || len(rows) != 0) {
				t.Errorf("%s, reported for %q: rows %+v, refused %v", name, workspace, rows, refused)
			}
		}
	}
}

func TestReportMayReachAnotherReplicaAndComeAfterARestart(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	decision := fx.decide(t, secret.Reveal(), call)
	other := &rows{}
	replica := fx.checkerOn(t, authsvc.NewKeyring(fx.store, fx.clock.Now), other)
	for range 2 {
		refused, err := replica.Report(t.Context(), []authsvc.Outcome{fx.outcome(decision)}, anyWorkspace)
		must(t, err)
		if len(refused) != 0 {
			t.Fatalf("the other replica refuses %v", refused)
		}
	}
	if got := other.all(); len(got) != 2 || got[0] != reported(decision.Entry) || got[1] != got[0] {
		t.Errorf("the other replica appends %+v", got)
	}
}

func TestReportTokenHoldsAsMuchOfTheRowAsFits(t *testing.T) {
	fx := newFixture(t)
	long := strings.Repeat("🙂", 600)
	_, secret := fx.create(t, func(k *authsvc.Key) {
		k.Name, k.ExternalID = long[:400], long[:252]
	})
	_, short := fx.create(t, nil)
	for name, tt := range map[string]struct {
		secret authsvc.PlainSecret
		call   authsvc.Call
		whole  bool
	}{
		"a usual call":              {short, authsvc.Call{AgentID: strings.Repeat("a", 36), Endpoint: "/v1/" + strings.Repeat("a", 400)}, true},
		"a long endpoint":           {short, authsvc.Call{AgentID: "a1", Endpoint: "/" + long}, false},
		"everything as long as can": {secret, authsvc.Call{AgentID: long, Endpoint: "/" + long, Method: long}, false},
	} {
		decision := fx.decide(t, tt.secret.Reveal(), tt.call)
		if n := len(decision.ReportToken); n > 1024 {
			t.Errorf("%s: a token of %d characters", name, n)
		}
		rows, _ := fx.report(t, anyWorkspace, fx.outcome(decision))
		got, want := rows[0], reported(decision.Entry)
		if (got == want) != tt.whole {
			t.Errorf("%s: the report appends %+v of %+v", name, got, want)
		}
		for what, texts := range map[string][2]string{
			"endpoint": {got.Endpoint, want.Endpoint}, "agent id": {got.AgentID, want.AgentID}, "name": {got.KeyName, want.KeyName}, "owner": {got.ExternalID, want.ExternalID},
		} {
			if !strings.HasPrefix(texts[1], texts[0]) || strings.ToValidUTF8(texts[0], "") != texts[0] {
				t.Errorf("%s: the %s %q is no part of %q", name, what, texts[0], texts[1])
			}
		}
		got.Endpoint, got.AgentID, got.KeyName, got.ExternalID = want.Endpoint, want.AgentID, want.KeyName, want.ExternalID
		if got != want {
			t.Errorf("%s: the report appends %+v, want all but the long texts of %+v", name, got, want)
		}
	}
}

func TestReportTokensDifferAndTellNothing(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	c := callAt(fx.clock.now)
	a, b := fx.decide(t, secret.Reveal(), c).ReportToken, fx.decide(t, secret.Reveal(), c).ReportToken
	if a == b || a[len(a)/2:] == b[len(b)/2:] {
		t.Error("two tokens of one call are alike")
	}
	raw, err := base64.RawURLEncoding.DecodeString(a)
	must(t, err)
	for _, text := range []string{"acme", "production", "/v1/agents", "POST"} {
		if strings.Contains(string(raw), text) {
			t.Errorf("the token shows %q", text)
		}
	}
}

func TestReportSaysWhenTheTrailDidNotTakeIt(t *testing.T) {
	fx := newFixture(t)
	_, secret := fx.create(t, nil)
	outcome := fx.outcome(fx.decide(t, secret.Reveal(), call))
	fx.trail.broken = errors.New("disk full")
	if _, err := fx.checker.Report(t.Context(), []authsvc.Outcome{{ReportToken: "forged"}, outcome}, anyWorkspace); !errors.Is(err, fx.trail.broken) {
		t.Errorf("error %v, want the trail's", err)
	}
	if got := fx.checker.RefusedReports()[authsvc.InvalidReport]; got != 0 {
		t.Errorf("%d refusals are counted of a request that failed", got)
	}
	outcome.ReportToken = "forged"
	if refused, err := fx.checker.Report(t.Context(), []authsvc.Outcome{outcome}, anyWorkspace); err != nil || len(refused) != 1 {
		t.Errorf("refused %v, error %v for a report that needs no trail", refused, err)
	}
}
