package browser

import (
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// TestACallInProgressIsLookedUpAgain: Live is off, and the next call in progress is more than a page of the list away.
func TestACallInProgressIsLookedUpAgain(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	key := a.createKey("Production Key", nil)
	check := a.check(key.secret, nil)
	id := check["requestLogId"].(string)
	a.awaitRows("", 1)
	between := timestamppb.Now()
	a.check(key.secret, nil)
	a.awaitRows("", 2)
	p := a.signInAs(access.Viewer, "request-logs?row="+id)
	p.wait(func() error { return p.row(id).shows("In progress") })
	rows := make([]*logsv1.RequestLog, 250)
	for i := range rows {
		rows[i] = &logsv1.RequestLog{Time: between, Method: "GET", Endpoint: "/v1/between", Status: 200, CallCount: 1}
	}
	a.record(rows...)
	a.report(check, 201, 1234)
	p.wait(func() error { return p.row(id).shows("201") })
	p.find("button", "Live").wait() // was never turned on
}

// TestKeysThatOthersChangedAreShownOnReturn: the user comes back to the tab after a minute.
func TestKeysThatOthersChangedAreShownOnReturn(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	old := a.createKey("Old", nil)
	p := a.signInAs(access.Viewer, "api-keys")
	p.waitForText("1 key")
	a.disable(old)
	a.createKey("New", nil)
	eval[any](p, `{ const now = Date.now; Date.now = () => now() + 60_000; dispatchEvent(new Event("focus")); null }`)
	p.waitForText("2 keys")
	p.waitForText("Disabled")
}

// TestCountsThatCannotBeLoaded: the page says so, and loads them on demand.
func TestCountsThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.check(a.createKey("Production Key", nil).secret, nil)
	a.awaitRows("", 1)
	p := a.signInAs(access.Viewer, "request-logs")
	p.waitForText("1 call matches")
	eval[any](p, `{
  const real = fetch
  window.fetch = request => request.url.includes("request-logs:summary") ? Promise.reject(new TypeError("away")) : real(request)
  window.repair = () => { window.fetch = real }
  null
}`)
	p.search("support")
	p.waitForText("The calls cannot be counted now.")
	p.checkAccessible("not-counted")
	eval[any](p, "repair()")
	p.find("button", "Try again").click()
	p.waitForText("1 call matches")
}

// TestABrokenLinkLeadsToAWorkspace opens a link that was cut within an escape.
func TestABrokenLinkLeadsToAWorkspace(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.createKey("Production Key", nil)
	p := newPage(t, a.system)
	p.signIn(a.system.token(t, access.Viewer, a.workspace), "/workspaces/%E0%A4/request-logs")
	p.waitForText("No call has been made yet")
}
