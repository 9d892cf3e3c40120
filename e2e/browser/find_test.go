package browser

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"
)

// finder finds elements by role and accessible name each time that it is used, because the console makes elements anew.
type finder struct {
	page   *page
	within *finder // nil is the document
	role   string
	name   string         // the whole name; "" is any
	like   *regexp.Regexp // instead of name
	css    string         // instead of role and name
}

// find finds the element of a role, e.g. "button", and an accessible name; "" is any name.
func (p *page) find(role, name string) finder {
	return finder{page: p, role: role, name: name}
}

// findLike is find with a pattern for the name.
func (p *page) findLike(role, pattern string) finder {
	return finder{page: p, role: role, like: regexp.MustCompile(pattern)}
}

// findCSS finds an element by its id, e.g. "#row-1": for rows, which have no unique name.
func (p *page) findCSS(selector string) finder { return finder{page: p, css: selector} }

// in finds the element inside another one.
func (f finder) in(outer finder) finder { f.within = &outer; return f }

func (f finder) String() string {
	text := f.role + f.css
	if f.like != nil {
		text += " like " + strconv.Quote(f.like.String())
	} else if f.name != "" {
		text += " " + strconv.Quote(f.name)
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
	case len(nodes) == 1:
		return nodes[0].BackendDOMNodeID, nil
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
	element := runtime.EvaluateParams{Expression: "document.querySelector(" + strconv.Quote(f.css) + ")"}
	found, err := call(f.page, runtime.Evaluate, element)
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
