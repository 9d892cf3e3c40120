package browser

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// finder finds elements by role and accessible name each time that it is used, because the console makes elements anew.
type finder struct {
	page   *page
	within *finder // nil is the document
	role   string
	name   string         // the whole name; "" is any
	like   *regexp.Regexp // instead of name
	nth    int            // which of several, from 0; -1 there must be one
	css    string         // instead of role and name
}

// find finds the element of a role, e.g. "button", and an accessible name; "" is any name.
func (p *page) find(role, name string) finder {
	return finder{page: p, role: role, name: name, nth: -1}
}

// findLike is find with a pattern for the name.
func (p *page) findLike(role, pattern string) finder {
	return finder{page: p, role: role, like: regexp.MustCompile(pattern), nth: -1}
}

// findCSS finds an element by its id, e.g. "#row-1": for rows, which have no unique name.
func (p *page) findCSS(selector string) finder { return finder{page: p, css: selector, nth: -1} }

// in finds the element inside another one.
func (f finder) in(outer finder) finder { f.within = &outer; return f }

// at finds the nth of several elements, from 0.
func (f finder) at(nth int) finder { f.nth = nth; return f }

func (f finder) String() string {
	text := f.role + f.css
	if f.like != nil {
		text += " like " + strconv.Quote(f.like.String())
	} else if f.name != "" {
		text += " " + strconv.Quote(f.name)
	}
	if f.nth >= 0 {
		text += " #" + strconv.Itoa(f.nth)
	}
	if f.within != nil {
		text += " in " + f.within.String()
	}
	return text
}

// nodes returns the matching elements that exist now.
func (f finder) nodes() ([]*accessibility.Node, error) {
	root := accessibility.QueryAXTreeParams{Role: f.role, AccessibleName: f.name}
	if f.within == nil {
		document, err := call(f.page, dom.GetDocument, dom.GetDocumentParams{})
		if err != nil {
			return nil, err
		}
		root.BackendNodeID = document.Root.BackendNodeID
	} else {
		outer, err := f.within.node()
		if err != nil {
			return nil, err
		}
		root.BackendNodeID = outer
	}
	found, err := call(f.page, accessibility.QueryAXTree, root)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", f, err)
	}
	var nodes []*accessibility.Node
	for _, node := range found.Nodes {
		if !node.Ignored && (f.like == nil || f.like.MatchString(nameOf(node))) {
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

// nameOf returns the accessible name of a node.
func nameOf(node *accessibility.Node) string {
	if node.Name == nil {
		return ""
	}
	text, err := strconv.Unquote(string(node.Name.Value))
	if err != nil {
		return string(node.Name.Value)
	}
	return text
}

// node returns the one element that matches now.
func (f finder) node() (cdp.BackendNodeID, error) {
	if f.css != "" {
		return f.cssNode()
	}
	nodes, err := f.nodes()
	switch {
	case err != nil:
		return 0, err
	case f.nth < 0 && len(nodes) == 1:
		return nodes[0].BackendDOMNodeID, nil
	case f.nth >= 0 && len(nodes) > f.nth:
		return nodes[f.nth].BackendDOMNodeID, nil
	default:
		return 0, fmt.Errorf("the page has %d elements %s, of %q", len(nodes), f, f.others())
	}
}

// others returns the names of all elements of the role, for errors.
func (f finder) others() (names []string) {
	f.name, f.like = "", nil
	nodes, _ := f.nodes()
	for _, node := range nodes {
		names = append(names, nameOf(node))
	}
	return names
}

// cssNode returns the one element that matches the selector now.
func (f finder) cssNode() (cdp.BackendNodeID, error) {
	count, err := tryEval[int](f.page, "document.querySelectorAll("+strconv.Quote(f.css)+").length")
	if err == nil && count != 1 {
		err = fmt.Errorf("the page has %d elements %s", count, f)
	}
	if err != nil {
		return 0, err
	}
	found, err := call(f.page, runtime.Evaluate, runtime.EvaluateParams{Expression: "document.querySelector(" + strconv.Quote(f.css) + ")"})
	if err != nil {
		return 0, err
	}
	described, err := call(f.page, dom.DescribeNode, dom.DescribeNodeParams{ObjectID: found.Result.ObjectID})
	if err != nil {
		return 0, err
	}
	return described.Node.BackendNodeID, nil
}

// names returns the accessible names of all matching elements.
func (f finder) names() []string {
	f.page.t.Helper()
	nodes, err := f.nodes()
	if err != nil {
		f.page.t.Fatal(err)
	}
	names := make([]string, len(nodes))
	for i, node := range nodes {
		names[i] = nameOf(node)
	}
	return names
}

// exists reports whether an element matches now.
func (f finder) exists() bool { f.page.t.Helper(); return len(f.names()) > 0 }

// wait waits for the element.
func (f finder) wait() finder {
	f.page.t.Helper()
	f.page.wait(func() error { _, err := f.node(); return err })
	return f
}

// waitGone waits until no element matches.
func (f finder) waitGone() {
	f.page.t.Helper()
	if f.css != "" {
		f.page.waitFor("document.querySelector(" + strconv.Quote(f.css) + ") === null")
		return
	}
	f.page.wait(func() error {
		nodes, err := f.nodes()
		if err == nil && len(nodes) > 0 {
			err = fmt.Errorf("the page still has %s", f)
		}
		return err
	})
}

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

// setValue sets a field whose value is not typed, such as a date.
func (f finder) setValue(value string) {
	f.page.t.Helper()
	get[any](f, `function() {
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(this), "value").set.call(this, `+strconv.Quote(value)+`);
  for (const type of ["input", "change"]) this.dispatchEvent(new Event(type, { bubbles: true }));
}`)
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
