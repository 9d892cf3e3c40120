package browser

import (
	"net/http"
	"regexp"
	"slices"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/keytrail/keytrail/internal/access"
)

// changes matches the names of buttons that change something.
var changes = regexp.MustCompile(`(?i)create|edit|save|delete key|rotate|disable|enable`)

// TestAViewerChangesNothing opens everything that a viewer can open: nothing that changes something is offered, and no request
// changes anything.
func TestAViewerChangesNothing(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	all := a.provoke()
	p := a.signInAs(access.Viewer, "request-logs?endpoint=messages")
	p.waitForRows(len(all))
	for _, d := range all {
		p.row(d.id).click()
		panel := p.find("complementary", "").wait()
		p.expectExplained(panel, denied{code: d.code, message: d.message, fix: d.fix})
		if links := p.find("link", "").in(panel).names(); len(links) > 0 {
			t.Errorf("the panel of %s offers a viewer %q", d.code, links)
		}
		p.findLike("button", "^"+d.code).in(p.row(d.id)).click()
		popover := p.find("dialog", d.code).wait()
		if links := p.find("link", "").in(popover).names(); len(links) > 0 {
			t.Errorf("the popover of %s offers a viewer %q", d.code, links)
		}
		p.press(kb.Escape)
		popover.waitGone()
	}
	p.checkAccessible("viewer-request-logs")

	p.find("link", "API Keys").click()
	p.waitForText("Paused key")
	for _, name := range p.find("button", "").names() {
		if changes.MatchString(name) {
			t.Errorf("API Keys offers a viewer the button %q", name)
		}
	}
	p.checkAccessible("viewer-api-keys")
	p.find("button", "Actions for Paused key").click()
	items := p.find("menuitem", "").in(p.find("menu", "").wait()).names()
	if !slices.Equal(items, []string{"Details", "View calls", "Copy id"}) {
		t.Errorf("a viewer's menu of a key has %q", items)
	}
	// An admin's links open no more for a viewer.
	for _, query := range []string{"create=1", "enable=" + a.keyNamed("Paused key"), "edit=scopes&key=" + a.keyNamed("Whole key")} {
		p.open("/workspaces/" + a.workspace + "/api-keys?" + query)
		p.waitForText("Paused key")
		for _, name := range p.find("button", "").names() {
			if changes.MatchString(name) {
				t.Errorf("?%s offers a viewer the button %q", query, name)
			}
		}
		for _, role := range []string{"textbox", "checkbox", "radio"} {
			if p.find(role, "").exists() {
				t.Errorf("?%s offers a viewer a %s", query, role)
			}
		}
	}
	for _, r := range p.traffic.sent() {
		if r.method != http.MethodGet {
			t.Errorf("a viewer's page sent %s %s", r.method, r.url)
		}
	}
}
