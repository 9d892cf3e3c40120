package browser

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/access"
)

// signIn opens a path of the console with a link that signs in.
func (p *page) signIn(token, path string) {
	p.t.Helper()
	p.open(path + "#token=" + token)
	p.expectNoToken(token)
}

// signInAs opens a page of the account's workspace, e.g. "request-logs?status=4xx".
func (a account) signInAs(role access.Role, path string) *page {
	a.t.Helper()
	p := newPage(a.t, a.system)
	p.signIn(a.system.token(a.t, role, a.workspace), "/workspaces/"+a.workspace+"/"+path)
	return p
}

// expectNoToken fails the test if the address bar or the history shows the token.
func (p *page) expectNoToken(token string) {
	p.t.Helper()
	if url := p.url(); strings.Contains(url, token) || strings.Contains(url, "token=") {
		p.t.Error("the address bar shows the token")
	}
	if seen := eval[bool](p, `performance.getEntriesByType("resource").some(r => r.name.includes("token="))`); seen {
		p.t.Error("the token is in the address of a request")
	}
}

// paste signs in by pasting the token into the form.
func (p *page) paste(token string) {
	p.t.Helper()
	p.find("textbox", "Token").fill(token)
	p.find("button", "Use this token").click()
}

func TestThePrintedLinkSignsIn(t *testing.T) {
	t.Parallel()
	s := startFor(t, &system{dataDir: t.TempDir(), terminal: true})
	account{t, s, "acme"}.createKey("Production Key", nil)
	p := newPage(t, s)
	everywhere := account{t, s, access.AllWorkspaces}
	everywhere.check("", object{"workspaceId": ""})
	p.wait(func() error {
		if ids := everywhere.call(access.Viewer, "GET", "/v1/session", nil)["workspaceIds"]; fmt.Sprint(ids) != "[_unattributed acme]" {
			return fmt.Errorf("the workspaces are %v", ids)
		}
		return nil
	})
	var link []string
	p.wait(func() error {
		if link = regexp.MustCompile(`http://[\d.:]+/\S*#token=(\S+)`).FindStringSubmatch(s.printed.String()); link == nil {
			return fmt.Errorf("serve printed no link that signs in:\n%s", s.printed)
		}
		return nil
	})
	p.open(link[0])
	p.find("heading", "Request Logs").wait()
	p.waitForText("Signed in as admin")
	p.waitFor(`location.pathname === "/workspaces/acme/request-logs"`)
	p.expectNoToken(link[1])
	p.reload()
	p.waitForText("Signed in as admin")

	// The token is of one tab only.
	other := p.newTab()
	other.open("/workspaces/acme/request-logs")
	other.find("heading", "Sign in").wait()
}

func TestAPastedTokenSignsInToTheSameView(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.createKey("Production Key", nil)
	p := newPage(t, a.system)
	view := "/workspaces/" + a.workspace + "/request-logs?status=4xx"
	p.open(view)
	p.find("heading", "Sign in").wait()
	p.paste("eyJ…abc") // as a terminal shortens it; no header can have it
	p.waitForText("This is not a token.")
	if text := eval[string](p, "document.body.innerText"); strings.Contains(text, "has ended") {
		t.Errorf("there was no token before, and the page shows:\n%s", text)
	}
	p.expect("^response: 401 ")
	p.paste("not-a-token")
	p.waitForText("Your token has ended or is not accepted any more")
	p.paste(a.system.token(t, access.Viewer, a.workspace))
	p.find("heading", "Request Logs").wait()
	p.waitForText("Signed in as viewer")
	if got := p.url(); got != view {
		t.Errorf("after signing in: %s, want %s", got, view)
	}
	p.find("button", "Sign out").click()
	p.waitForText("You have signed out.")
	if stored := eval[string](p, "JSON.stringify(sessionStorage) + JSON.stringify(localStorage)"); strings.Contains(stored, "eyJ") {
		t.Errorf("after signing out the browser still keeps a token: %s", stored)
	}
}

func TestAnEndedTokenReturnsToTheSameView(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.createKey("Production Key", nil)
	p := newPage(t, a.system)
	p.expect("^response: 401 ") // requests that were on their way
	view := "/workspaces/" + a.workspace + "/api-keys?query=production"
	p.signIn(a.system.tokenFor(t, 3*time.Second, access.Admin, a.workspace), view)
	p.find("heading", "API Keys").wait()
	p.waitForText("Your token has ended")
	p.checkAccessible("sign-in-ended")
	p.paste(a.system.token(t, access.Admin, a.workspace))
	p.waitForText("Production Key")
	if got := p.url(); got != view {
		t.Errorf("after signing in again: %s, want %s", got, view)
	}
}

func TestSignInAtAnIssuer(t *testing.T) {
	t.Parallel()
	issuer := startIssuer(t, "acme")
	s := startSystem(t, "--oidc-issuers", issuer.server.URL, "--console-client-id", clientID)
	account{t, s, "acme"}.createKey("Production Key", nil)
	p := newPage(t, s)
	p.allowed = []string{issuer.server.URL}
	const view = "/workspaces/acme/api-keys?query=production"
	p.open(view)
	p.find("heading", "Sign in").wait()
	p.checkAccessible("sign-in-issuer")
	// The keys of the issuer are fetched in the background after the first token of it.
	p.expect("^response: 503 ")
	p.find("button", "Sign in at "+strings.TrimPrefix(issuer.server.URL, "http://")).click()
	p.waitForText("Signed in as viewer")
	p.waitForText("Production Key")
	if got := p.url(); got != view {
		t.Errorf("after signing in: %s, want %s", got, view)
	}
	issuer.expectSignIns(1)
	if left := eval[string](p, "sessionStorage.getItem('keytrail.sign-in') ?? ''"); left != "" {
		t.Errorf("the secrets of the sign-in are still stored: %s", left)
	}
}
