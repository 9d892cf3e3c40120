package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/keytrail/keytrail/internal/access"
)

// denied is a way to be denied, and what the console says of it.
type denied struct {
	code, message, fix string
	// fixAt is the link to where it can be fixed; empty if nothing in the console fixes it.
	fixAt string
	// id is the id of the row.
	id string
}

// provoke makes one call for each of the six error codes.
func (a account) provoke() []denied {
	a.t.Helper()
	whole := a.createKey("Whole key", nil)
	disabled := a.createKey("Paused key", nil)
	a.disable(disabled)
	expired := a.createKey("Old key", object{"expireTime": time.Now().Add(time.Second)})
	narrow := a.createKey("Narrow key", object{"allAgents": false, "agentIds": []string{"billing-bot"}})
	if err := poll(a.t.Context(), func() error {
		if code := denialCode(a.check(expired.secret, object{"endpoint": "/v1/waiting"})); code != "expired" {
			return fmt.Errorf("the key is not expired: %q", code)
		}
		return nil
	}); err != nil {
		a.t.Fatal(err)
	}
	return []denied{
		{"missing_token", "No api-key header was sent on the request", "Add the header — api-key: sk_<your-secret>", "",
			a.rowOf("missing_token", "", nil)},
		{"invalid_token", "The header is present but the secret doesn't match any key",
			"Re-check the value; the key may have been deleted, or you copied a stray space", "Create a new key",
			a.rowOf("invalid_token", "sk_unknown", nil)},
		{"disabled", "The key has been disabled in the UI", "Toggle it back on, or use a different key", "Enable Paused key",
			a.rowOf("disabled", disabled.secret, nil)},
		{"expired", "The key passed its Expires date",
			"Create a new key with a future expiry and switch traffic over", "Create a new key",
			a.rowOf("expired", expired.secret, nil)},
		{"scope_denied", "The key doesn't have the scope for the agent type being called (Agent / Data Agent / Voice Agent)",
			"Edit the key and add the missing scope", "Edit scopes of Whole key",
			a.rowOf("scope_denied", whole.secret, object{"agentType": "voice_agent"})},
		{"agent_denied", "The key's Agent Access doesn't include the target agent",
			"Add the agent to the key's allowlist, or set Agent Access to All Agents", "Edit agent access of Narrow key",
			a.rowOf("agent_denied", narrow.secret, nil)},
	}
}

// rowOf makes a call that must be denied with the code, waits for its row and returns the row's id.
func (a account) rowOf(code, secret string, call object) (id string) {
	a.t.Helper()
	response := a.check(secret, call)
	if got := denialCode(response); got != code {
		a.t.Fatalf("the call was denied with %q, want %q", got, code)
	}
	a.awaitRows("error_code="+code, 1)
	return response["requestLogId"].(string)
}

// TestEachErrorCodeIsExplained reads chip, message and fix of each of the six codes, in the popover and in the panel.
func TestEachErrorCodeIsExplained(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	all := a.provoke()
	p := a.signInAs(access.Admin, "request-logs?endpoint=messages")
	p.waitForRows(len(all))
	for _, d := range all {
		p.findLike("button", "^"+d.code).in(p.row(d.id)).click()
		popover := p.find("dialog", d.code).wait()
		p.expectExplained(popover, d)
		p.checkAccessible("popover-" + d.code)
		p.press(kb.Escape)
		popover.waitGone()
	}
	for _, d := range all {
		p.row(d.id).click()
		panel := p.find("complementary", "").wait()
		p.expectExplained(panel, d)
		if d.code == "agent_denied" {
			p.checkAccessible("panel")
		}
	}
}

// expectExplained checks that an element says what is wrong and how to fix it.
func (p *page) expectExplained(shown finder, d denied) {
	p.t.Helper()
	text := shown.text()
	for _, want := range []string{d.message, d.fix} {
		if !strings.Contains(text, want) {
			p.t.Errorf("%s does not say %q:\n%s", shown, want, text)
		}
	}
	if d.fixAt != "" {
		p.find("link", d.fixAt).in(shown).wait()
	}
}

// TestAScopeFixLeadsToTheNextCallPassing follows the fix of scope_denied to its end.
func TestAScopeFixLeadsToTheNextCallPassing(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	k := a.createKey("Mobile app", nil)
	id := a.rowOf("scope_denied", k.secret, object{"agentType": "voice_agent"})
	p := a.signInAs(access.Admin, "request-logs")
	p.findLike("button", "^scope_denied").in(p.row(id)).click()
	p.find("link", "Edit scopes of Mobile app").click()
	dialog := p.findLike("dialog", "Mobile app").wait()
	p.find("checkbox", "Voice Agent").in(dialog).click()
	p.findLike("button", "^Save").in(dialog).click()
	dialog.waitGone()
	a.expectPasses(k, object{"agentType": "voice_agent"})
	a.expectPasses(k, nil) // the other scope stays
}

// TestAnEnableFixLeadsToTheNextCallPassing follows the fix of disabled to its end.
func TestAnEnableFixLeadsToTheNextCallPassing(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	k := a.createKey("Paused key", nil)
	a.disable(k)
	id := a.rowOf("disabled", k.secret, nil)
	p := a.signInAs(access.Admin, "request-logs")
	p.row(id).click()
	p.find("link", "Enable Paused key").click()
	p.findLike("button", "^Enable").click()
	a.expectPasses(k, nil)
}

// expectPasses waits until a call with the key passes: a change is in force within a second.
func (a account) expectPasses(k key, call object) {
	a.t.Helper()
	if err := poll(a.t.Context(), func() error {
		if code := denialCode(a.check(k.secret, call)); code != "" {
			return fmt.Errorf("the call is denied with %s", code)
		}
		return nil
	}); err != nil {
		a.t.Error(err)
	}
}
