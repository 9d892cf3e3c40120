package browser

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// apply calls a JavaScript function with the element as this and returns its value.
func apply[T any](f finder, function string) (T, error) {
	var value T
	node, err := f.node()
	if err != nil {
		return value, err
	}
	resolved, err := call(f.page, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: node})
	if err != nil {
		return value, err
	}
	ctx, cancel := context.WithTimeout(f.page.ctx, waitTimeout)
	defer cancel()
	return chromedp.Run(ctx, chromedp.CallFunctionOn[T](function, func(p *runtime.CallFunctionOnParams) {
		p.ObjectID = resolved.Object.ObjectID
		p.ReturnByValue = new(true)
	}))
}

// get is apply that waits for the element.
func get[T any](f finder, function string) (value T) {
	f.page.t.Helper()
	f.page.wait(func() (err error) { value, err = apply[T](f, function); return err })
	return value
}

// text returns the text that the element shows.
func (f finder) text() string {
	f.page.t.Helper()
	return get[string](f, "function() { return this.innerText }")
}

// has is an error unless the element has an attribute of this value.
func (f finder) has(attribute, value string) error {
	got, err := apply[string](f, "function() { return this.getAttribute("+strconv.Quote(attribute)+") }")
	if err == nil && got != value {
		err = fmt.Errorf("%s has %s %q, want %q", f, attribute, got, value)
	}
	return err
}

// shows is an error unless the element shows a text.
func (f finder) shows(text string) error {
	shown, err := apply[string](f, "function() { return this.innerText }")
	if err == nil && !strings.Contains(shown, text) {
		err = fmt.Errorf("%s does not show %q: %q", f, text, shown)
	}
	return err
}

// target returns the middle of the element, where a mouse would click, after it was scrolled into view. It is an error if
// something else is there, or if the element is disabled.
const target = `function() {
  this.scrollIntoView({ block: "nearest", inline: "nearest" });
  const box = this.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
  const hit = document.elementFromPoint(x, y), label = hit?.closest("label");
  const reached = hit && (this.contains(hit) || label?.control === this || label?.contains(this));
  const disabled = this.matches(":disabled") || this.getAttribute("aria-disabled") === "true";
  return { x, y, reached: !!reached, disabled, over: reached ? "" : hit?.outerHTML.slice(0, 200) ?? "nothing" };
}`

// middle waits until a mouse could click the element and returns where.
func (f finder) middle() (x, y float64) {
	f.page.t.Helper()
	f.page.wait(func() error {
		at, err := apply[struct {
			X, Y              float64
			Reached, Disabled bool
			Over              string
		}](f, target)
		switch {
		case err != nil:
			return err
		case at.Disabled:
			return fmt.Errorf("%s is disabled", f)
		case !at.Reached:
			return fmt.Errorf("%s is covered by %s", f, at.Over)
		}
		x, y = at.X, at.Y
		return nil
	})
	return x, y
}

// click clicks the middle of the element with the mouse.
func (f finder) click() {
	f.page.t.Helper()
	x, y := f.middle()
	f.page.do(chromedp.MouseClickXY(x, y))
}

// fill replaces the text of a field as typing would.
func (f finder) fill(text string) {
	f.page.t.Helper()
	f.click()
	get[any](f, "function() { this.select() }")
	f.page.do(command(input.InsertText, input.InsertTextParams{Text: text}))
	if got := get[string](f, "function() { return this.value }"); got != text {
		f.page.t.Fatalf("%s holds %q after %q was typed", f, got, text)
	}
}

// call sends a command to the tab.
func call[P, R any](p *page, c cdp.Command[P, R], params P) (R, error) {
	ctx, cancel := context.WithTimeout(p.ctx, waitTimeout)
	defer cancel()
	result, err := chromedp.Call(ctx, c, params)
	if err != nil && p.ctx.Err() != nil {
		err = errors.Join(err, p.ctx.Err())
	}
	return result, err
}

// command makes an action of a command whose result is of no interest.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}
