package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// choose sets a filter, e.g. "Status" to the option that begins with "4xx".
func (p *page) choose(filter, option string) {
	p.t.Helper()
	p.findLike("button", "^"+filter+" ").click()
	p.findLike("option", "^"+option).in(p.find("dialog", filter).wait()).click()
	p.find("dialog", filter).waitGone()
}

// search types into the search field.
func (p *page) search(text string) {
	p.t.Helper()
	p.find("searchbox", "Search by endpoint").fill(text)
}

// calls stores one row for each combination of two keys, two statuses and two endpoints, a minute apart.
func (a account) calls(first, second key) {
	a.t.Helper()
	at := time.Now().Add(-time.Hour)
	var rows []*logsv1.RequestLog
	for _, k := range []key{first, second} {
		for _, status := range []int32{200, 404, 503} {
			for _, endpoint := range []string{"/v1/Support/messages", "/v1/billing/messages"} {
				at = at.Add(time.Minute)
				rows = append(rows, &logsv1.RequestLog{
					Time: timestamppb.New(at), KeyId: k.id, KeyName: k.name, KeyLast4: k.last4, AgentType: "agent", AgentId: "bot",
					Method: "POST", Endpoint: endpoint, Status: status, LatencyMs: new(12.5), CallCount: 1,
				})
			}
		}
	}
	a.record(rows...)
}

// TestFiltersCombineAndStay combines filters, reloads, opens the address in a second tab and goes back.
func TestFiltersCombineAndStay(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	first, second := a.createKey("First key", nil), a.createKey("Second key", nil)
	a.calls(first, second)
	p := a.signInAs(access.Viewer, "request-logs")
	p.waitForExactly(idsOf(a.rows("")))
	p.choose("Status", "4xx Client error")
	p.waitForExactly(idsOf(a.rows("status_class=4xx")))
	p.choose("Key", "First key")
	p.waitForExactly(idsOf(a.rows("status_class=4xx&key_id=" + first.id)))
	p.search("supp")
	want := idsOf(a.rows("status_class=4xx&endpoint=supp&key_id=" + first.id))
	if len(want) != 1 {
		t.Fatalf("%d rows match all three filters, want 1", len(want))
	}
	p.waitForExactly(want)
	if marked := eval[string](p, "document.querySelector('mark').innerText"); marked != "Supp" {
		t.Errorf("the match is %q, want Supp", marked)
	}
	view := p.url()

	p.reload()
	p.waitForExactly(want)
	p.expectFilters("Status 4xx Client error", "Key First key")
	second2 := p.newTab()
	second2.signIn(a.system.token(t, access.Viewer, a.workspace), view)
	second2.waitForExactly(want)
	second2.expectFilters("Status 4xx Client error", "Key First key")

	p.do(chromedp.NavigateBack())
	p.waitForExactly(idsOf(a.rows("status_class=4xx")))
	p.expectFilters("Status 4xx Client error", "Key All keys")
	if text := get[string](p.find("searchbox", "Search by endpoint"), "function() { return this.value }"); text != "" {
		t.Errorf("after going back the search holds %q", text)
	}
}

// expectFilters checks what the filters hold.
func (p *page) expectFilters(want ...string) {
	p.t.Helper()
	for _, name := range want {
		p.find("button", name).wait()
	}
}

// drag moves the mouse with its button pressed from left to right.
func (p *page) drag(fromX, toX, y float64) {
	p.t.Helper()
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, fromX, y))
	p.do(chromedp.MouseEvent(chromedp.MousePressed, fromX, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	for step := 1.0; step <= 10; step++ {
		p.do(chromedp.MouseEvent(chromedp.MouseMoved, fromX+(toX-fromX)*step/10, y, chromedp.ButtonLeft))
	}
	p.do(chromedp.MouseEvent(chromedp.MouseReleased, toX, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
}

// TestDraggingInTheHistogramSelectsARange drags over the right half, and clicks to clear.
func TestDraggingInTheHistogramSelectsARange(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	now := time.Now()
	for _, age := range []time.Duration{25 * 24 * time.Hour, 20 * 24 * time.Hour, 3 * 24 * time.Hour, time.Hour} {
		a.record(&logsv1.RequestLog{Time: timestamppb.New(now.Add(-age)), AgentType: "agent", Method: "POST",
			Endpoint: "/v1/" + age.String(), Status: 200, LatencyMs: new(5.0), CallCount: 1})
	}
	all := idsOf(a.rows(""))
	p := a.signInAs(access.Viewer, "request-logs")
	p.waitForExactly(all)
	chart := p.findLike("image", "^Calls by time: 4 calls").wait()
	box := get[struct{ X, Y, Width, Height float64 }](chart, "function() { return this.getBoundingClientRect().toJSON() }")
	y := box.Y + 30
	p.drag(box.X+box.Width/2, box.X+box.Width-3, y)
	p.waitForExactly(all[:2])
	url := p.url()
	if !strings.Contains(url, "from=") {
		t.Errorf("the address does not have the range: %s", url)
	}
	p.reload()
	p.waitForExactly(all[:2])
	p.findLike("image", "^Calls by time: 2 calls").wait()
	p.do(chromedp.MouseClickXY(box.X+box.Width/2, y))
	p.waitForExactly(all)
}

// TestTheKeyboardIsEnough uses Request Logs without a mouse.
func TestTheKeyboardIsEnough(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	k := a.createKey("First key", nil)
	a.calls(k, k)
	p := a.signInAs(access.Viewer, "request-logs")
	ids := idsOf(a.rows(""))
	p.waitForExactly(ids)
	p.press("/")
	p.waitFor(`document.activeElement.type === "search"`)
	p.press("billing")
	p.waitForExactly(idsOf(a.rows("endpoint=billing")))
	p.press(kb.Escape) // clears the search
	p.waitForExactly(ids)
	p.press(kb.Escape) // leaves it
	p.waitFor(`document.activeElement.type !== "search"`)

	current := func() string { return eval[string](p, `document.querySelector('[aria-selected="true"]')?.id ?? ""`) }
	expect := func(id string) {
		t.Helper()
		p.wait(func() error {
			if got := current(); got != "row-"+id {
				return fmt.Errorf("the current row is %q, want %q", got, "row-"+id)
			}
			return nil
		})
	}
	p.press("j")
	expect(ids[0])
	p.press("j")
	expect(ids[1])
	p.press("k")
	expect(ids[0])
	p.press(kb.Enter)
	p.find("complementary", "").wait()
	p.press("j")
	p.waitForText(ids[1]) // the panel follows
	p.press(kb.Escape)
	p.find("complementary", "").waitGone()
	p.press("?")
	help := p.findLike("dialog", "(?i)keyboard").wait()
	p.checkAccessible("keyboard-help")
	p.press(kb.Escape)
	help.waitGone()
}

// TestTheHistogramFollowsTheTheme: its colours are those that the page has when it is loaded in the other theme.
func TestTheHistogramFollowsTheTheme(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.calls(a.createKey("First key", nil), a.createKey("Second key", nil))
	p := a.signInAs(access.Viewer, "request-logs")
	drawn := func() string {
		t.Helper()
		p.findLike("image", "^Calls by time: 12 calls").wait()
		p.waitFor("document.querySelector('canvas') !== null")
		p.painted()
		return eval[string](p, "document.querySelector('canvas').toDataURL()")
	}
	light := drawn()
	p.setTheme("dark")
	dark := drawn()
	p.reload()
	if loaded := drawn(); dark == light || dark != loaded {
		t.Error("the histogram does not have the colours of the new theme")
	}
}
