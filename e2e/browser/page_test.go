package browser

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// theme is the colour scheme of the system: light or dark.
type theme string

// themes are all colour schemes.
var themes = []theme{"light", "dark"}

// page is a tab.
type page struct {
	t       *testing.T
	ctx     context.Context
	origin  string
	traffic *traffic
	// allowed are further origins that the page may call.
	allowed []string
	// expected matches problems that the test provokes.
	expected []*regexp.Regexp
}

// newPage opens a tab with its own storage, 1440 by 900 pixels in the light theme. The test fails if the tab has a problem
// that the test did not expect.
func newPage(t *testing.T, s *system) *page {
	t.Helper()
	return openTab(t, browserContext(t), s.origin(), chromedp.WithNewBrowserContext())
}

// newTab opens another tab with the settings of this one and empty session storage.
func (p *page) newTab() *page {
	p.t.Helper()
	return openTab(p.t, p.ctx, p.origin)
}

func openTab(t *testing.T, parent context.Context, origin string, options ...chromedp.ContextOption) *page {
	t.Helper()
	p := &page{t: t, origin: origin, traffic: &traffic{byID: map[network.RequestID]*request{}}}
	ctx, _ := chromedp.NewContext(parent, append(options, chromedp.WithListener(p.traffic.listen))...)
	p.ctx = ctx
	t.Cleanup(p.close)
	if err := chromedp.Do(ctx); err != nil { // opens the tab: a deadline here would end it
		t.Fatal(err)
	}
	p.do(
		command(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}),
		command(emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"}),
		command(emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{Locale: "en-GB"}),
	)
	p.setTheme("light")
	p.setViewport(1440, 900)
	return p
}

// close closes the tab and fails the test on unexpected problems.
func (p *page) close() {
	if p.t.Failed() {
		text, _ := tryEval[string](p, "location.pathname + location.search + '\\n' + document.body.innerText")
		p.t.Logf("the page at the end: %s", text)
		p.saveFailure()
	}
	// The browser reports a rejected promise a moment later. A tab that is loading cannot run this, and needs not.
	_, _ = tryEval[any](p, "new Promise(done => setTimeout(() => done(null)))")
	for _, problem := range p.traffic.unexpected(append(p.allowed, p.origin), p.expected) {
		p.t.Errorf("the page has a problem: %s", problem)
	}
	if err := chromedp.Cancel(p.ctx); err != nil && !errors.Is(err, context.Canceled) {
		p.t.Errorf("close the tab: %v", err)
	}
}

// expect permits problems that the test provokes: their text matches the pattern.
func (p *page) expect(pattern string) { p.expected = append(p.expected, regexp.MustCompile(pattern)) }

// do runs actions in the tab.
func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, waitTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) setTheme(scheme theme) {
	p.t.Helper()
	p.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: string(scheme)}, {Name: "prefers-reduced-motion", Value: "reduce"}}}))
}

func (p *page) setViewport(width, height int64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, height))
	p.painted() // a click would hit what was there before
}

// open navigates to a path of the console, or to another URL, and waits until it is loaded.
func (p *page) open(path string) {
	p.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = p.origin + path
	}
	p.do(chromedp.Navigate(path))
}

func (p *page) reload() { p.t.Helper(); p.do(chromedp.Reload()) }

// url returns the address without the origin.
func (p *page) url() string {
	p.t.Helper()
	return eval[string](p, "location.pathname + location.search + location.hash")
}

// press sends keys to the focused element, e.g. "j" or kb.Escape.
func (p *page) press(keys string) { p.t.Helper(); p.do(chromedp.KeyEvent(keys)) }

// eval evaluates an expression in the tab; a promise is awaited.
func eval[T any](p *page, expression string) T {
	p.t.Helper()
	value, err := tryEval[T](p, expression)
	if err != nil {
		p.t.Fatalf("%s: %v", shorten(expression), err)
	}
	return value
}

func tryEval[T any](p *page, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, waitTimeout)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// wait polls until try returns nil.
func (p *page) wait(try func() error) {
	p.t.Helper()
	if err := poll(p.ctx, try); err != nil {
		p.t.Fatal(err)
	}
}

// waitFor polls until an expression is true. The error has its last value.
func (p *page) waitFor(expression string) {
	p.t.Helper()
	p.wait(func() error {
		value, err := tryEval[any](p, expression)
		if err == nil && value != true {
			err = fmt.Errorf("%s is %v", shorten(expression), value)
		}
		return err
	})
}

// waitForText polls until the page shows a text.
func (p *page) waitForText(text string) {
	p.t.Helper()
	p.wait(func() error {
		shown, err := tryEval[string](p, "document.body.innerText")
		if err == nil && !strings.Contains(shown, text) {
			err = fmt.Errorf("the page does not show %q:\n%s", text, shown)
		}
		return err
	})
}

func shorten(text string) string {
	if len(text) > 200 {
		return text[:200] + "…"
	}
	return text
}
