package browser

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/keytrail/keytrail/internal/access"
)

// act chooses an action in the menu of a key.
func (p *page) act(keyName, action string) {
	p.t.Helper()
	p.find("button", "Actions for "+keyName).click()
	p.find("menuitem", action).click()
}

// takeSecret reads the secret that a dialog shows, copies it and closes the dialog with one of its buttons.
func (p *page) takeSecret(closeWith string) string {
	p.t.Helper()
	secret := p.find("code", "Secret").text()
	if !regexp.MustCompile(`^sk_\w{38}$`).MatchString(secret) {
		p.t.Fatalf("the dialog shows the secret %q", secret)
	}
	p.find("button", "Copy secret").click()
	p.waitForText("Copied")
	p.find("button", closeWith).click()
	p.find("code", "Secret").waitGone()
	return secret
}

// TestAKeyIsMadeAndItsCallArrivesLive makes a key in an empty workspace, calls with it, and watches the row arrive.
func TestAKeyIsMadeAndItsCallArrivesLive(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	p := a.signInAs(access.Admin, "request-logs")
	p.waitForText("No call has been made yet")
	p.waitForText(p.origin + "/v1/check")
	p.checkAccessible("empty-request-logs")
	p.find("link", "API Keys").click()
	p.waitForText("No keys yet")
	p.checkAccessible("empty-api-keys")
	p.find("button", "Create the first key").click()
	dialog := p.find("dialog", "Create key").wait()
	p.find("button", "Create key").in(dialog).click()
	p.waitFor(`document.querySelectorAll("[aria-invalid=true]").length > 0`) // a name is missing
	p.checkAccessible("create-key-wrong")
	p.find("textbox", "Name").in(dialog).fill("Billing service")
	p.find("checkbox", "Agent").in(dialog).click()
	p.checkAccessible("create-key")
	p.find("button", "Create key").in(dialog).click()

	p.findLike("dialog", "Billing service.* is ready").wait()
	p.checkAccessible("secret")
	secret := p.takeSecret("Watch its calls")
	p.find("heading", "Request Logs").wait()
	p.wait(func() error { return p.find("button", "Live").has("aria-pressed", "true") })
	p.waitForText("Waiting for a call with")
	p.find("button", "Key Billing service").wait()
	p.checkAccessible("waiting")
	check := a.check(secret, nil)
	row := p.row(check["requestLogId"].(string)).wait()
	p.wait(func() error { return row.shows("In progress") })
	a.report(check, 201, 1234)
	p.wait(func() error { return row.shows("201") })
	p.wait(func() error { return row.shows("1.23 s") })
	p.checkAccessible("live")
	const kept = "JSON.stringify([sessionStorage, localStorage, history.state, document.documentElement.outerHTML])"
	if strings.Contains(eval[string](p, kept), secret) {
		t.Error("the browser still has the secret")
	}
}

// TestAKeyIsDisabledInThePage: the next call is denied.
func TestAKeyIsDisabledInThePage(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	k := a.createKey("Mobile app", nil)
	p := a.signInAs(access.Admin, "api-keys")
	p.act("Mobile app", "Disable")
	p.findLike("alertdialog", "Disable .*Mobile app").wait()
	p.checkAccessible("disable")
	p.find("button", "Disable key").click()
	p.wait(func() error { return p.keyRow(k).shows("Disabled") })
	a.expectDenied(k.secret, "disabled")
	p.act("Mobile app", "Enable")
	p.find("button", "Enable key").click()
	p.wait(func() error { return p.keyRow(k).shows("Enabled") })
	a.expectPasses(k, nil)
}

// keyRow finds the row of a key.
func (p *page) keyRow(k key) finder { return p.findCSS(`[data-key="` + k.id + `"]`) }

// expectDenied waits until calls with the secret are denied with the code: a change is in force within a second.
func (a account) expectDenied(secret, code string) {
	a.t.Helper()
	if err := poll(a.t.Context(), func() error {
		if got := denialCode(a.check(secret, nil)); got != code {
			return fmt.Errorf("the call is denied with %q, want %q", got, code)
		}
		return nil
	}); err != nil {
		a.t.Error(err)
	}
}

// TestASecretIsRotatedInThePage: with a grace period both secrets pass, and the page counts down; then the old one is ended.
func TestASecretIsRotatedInThePage(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	k := a.createKey("Partner: Globex", nil)
	p := a.signInAs(access.Admin, "api-keys")
	p.act(k.name, "Rotate secret")
	dialog := p.findLike("dialog", "^Rotate the secret of").wait()
	p.checkAccessible("rotate")
	p.findLike("radio", "^In 1 hour").in(dialog).click()
	p.find("button", "Rotate secret").in(dialog).click()
	second := key{id: k.id, secret: p.takeSecret("Done")}
	p.wait(func() error { return p.keyRow(k).shows("old secret ends in") })
	p.checkAccessible("api-keys-rotated")
	a.expectPasses(second, nil)
	a.expectPasses(k, nil)

	p.act(k.name, "End the old secret")
	p.find("button", "Rotate secret").in(p.findLike("dialog", "^Rotate the secret of")).click()
	third := key{id: k.id, secret: p.takeSecret("Done")}
	a.expectPasses(third, nil)
	a.expectDenied(k.secret, "expired")
}

// TestAKeyIsDeletedInThePage only after its name was typed.
func TestAKeyIsDeletedInThePage(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	k := a.createKey("Old staging key", nil)
	other := a.createKey("Another key", nil)
	p := a.signInAs(access.Admin, "api-keys")
	p.act(k.name, "Delete")
	dialog := p.findLike("alertdialog", "^Delete").wait()
	p.checkAccessible("delete")
	name := p.findLike("textbox", "^Type the name")
	name.fill("Old staging")
	if !get[bool](p.find("button", "Delete key").in(dialog), "function() { return this.disabled }") {
		t.Error("the key can be deleted although its name is not typed whole")
	}
	name.fill(k.name)
	p.find("button", "Delete key").in(dialog).click()
	p.keyRow(k).waitGone()
	p.keyRow(other).wait()
	a.expectDenied(k.secret, "invalid_token")
}

// TestAPIKeysIsAccessible opens what the other tests do not.
func TestAPIKeysIsAccessible(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	keys := a.demo(time.Now())
	p := a.signInAs(access.Admin, "api-keys")
	p.keyRow(keys[voicePilot]).wait()
	p.checkAccessible("api-keys")
	p.find("button", "Actions for Mobile app").click()
	p.find("menu", "").wait()
	p.checkAccessible("key-menu")
	p.find("menuitem", "Details").click()
	p.findLike("dialog", "^Mobile app").wait()
	p.checkAccessible("key-details")
	p.find("button", "Edit").click()
	p.findLike("dialog", "^Edit").wait()
	p.findLike("button", "^More: description").click()
	p.find("radio", "Only these").click()
	p.checkAccessible("key-edit")
	p.find("button", "Cancel").click()
	p.findLike("button", "^State").click()
	p.find("dialog", "State").wait()
	p.checkAccessible("key-state")
	p.press(kb.Escape)
	p.find("searchbox", "Search by name or last 4").fill("no such key")
	p.waitForText("No key matches")
	p.checkAccessible("api-keys-no-match")
}
