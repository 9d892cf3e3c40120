package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/keytrail/keytrail/internal/access"
)

func TestTheSignInPageIsAccessible(t *testing.T) {
	t.Parallel()
	p := newPage(t, sharedSystem(t))
	p.open("/")
	p.find("heading", "Sign in").wait()
	p.checkAccessible("sign-in")
}

// TestRequestLogsIsAccessible opens what the other tests do not.
func TestRequestLogsIsAccessible(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.demo(time.Now())
	p := a.signInAs(access.Admin, "request-logs")
	p.waitForRows(10)
	p.checkAccessible("request-logs")
	for _, popup := range []struct{ button, role, name string }{
		{"^Time ", "dialog", "Time"}, {"^Status ", "dialog", "Status"}, {"^Key ", "dialog", "Key"},
		{"^\\+ Filter", "menu", ""}, {"^Export$", "menu", ""},
	} {
		p.findLike("button", popup.button).click()
		opened := p.find(popup.role, popup.name).wait()
		p.checkAccessible("popup" + workspacePattern.ReplaceAllString(strings.ToLower(popup.button), "-") + popup.role)
		p.press(kb.Escape)
		opened.waitGone()
	}
	p.search("no such endpoint")
	p.waitForText("No call matches")
	p.checkAccessible("request-logs-no-match")
}

// TestANarrowScreenIsAccessible uses the console as on a phone: a call opens in a sheet.
func TestANarrowScreenIsAccessible(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.demo(time.Now())
	p := newPage(t, a.system)
	p.setViewport(380, 800)
	p.signIn(a.system.token(t, access.Admin, access.AllWorkspaces), "/workspaces/"+a.workspace+"/request-logs")
	p.waitForRows(3)
	p.checkAccessibleAsItIs("narrow-request-logs")
	denied := a.rows("error_code=scope_denied")[0]
	p.row(denied["id"].(string)).click()
	sheet := p.find("dialog", "Call").wait()
	p.checkAccessibleAsItIs("narrow-sheet")
	p.find("button", "Close").in(sheet).click()
	sheet.waitGone()
	p.findLike("button", "^Workspace").click()
	switcher := p.find("dialog", "Workspace").wait()
	p.checkAccessibleAsItIs("narrow-workspaces")
	p.press(kb.Escape)
	switcher.waitGone()
	p.open("/workspaces/" + a.workspace + "/api-keys")
	p.waitForText("Voice pilot")
	p.checkAccessibleAsItIs("narrow-api-keys")
}

// TestPagesFitTheScreen: also in a workspace of a long name.
func TestPagesFitTheScreen(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.workspace = strings.Repeat("workspace-", 6)
	keys := a.demo(time.Now())
	denied := a.rows("error_code=scope_denied")[0]["id"].(string)
	for _, path := range []string{"request-logs", "request-logs?row=" + denied, "api-keys", "api-keys?create=1"} {
		p := a.signInAs(access.Admin, path)
		p.waitForText(keys[mobile].name)
		p.expectFits(path)
	}
}
