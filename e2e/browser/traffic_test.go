package browser

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// request is a request that a page sent.
type request struct {
	method, url string
	// received is the size of the response on the wire in bytes, headers included; 0 until it is complete.
	received float64
}

// traffic collects what a page sends and what goes wrong in it. It is safe for concurrent use.
type traffic struct {
	mu       sync.Mutex
	requests []*request
	byID     map[network.RequestID]*request
	problems []string
}

// listen is called for each event of the tab, in order.
func (c *traffic) listen(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		c.send(e)
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			c.problem("response: %d %s", e.Response.Status, e.Response.URL)
		}
	case *network.EventLoadingFinished:
		if sent := c.byID[e.RequestID]; sent != nil {
			sent.received = e.EncodedDataLength
		}
	case *network.EventLoadingFailed:
		c.fail(e)
	case *runtime.EventExceptionThrown:
		c.problem("script error: %s", exceptionText(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			c.problem("console: %s", consoleText(e.Args))
		}
	case *log.EventEntryAdded:
		c.entry(e.Entry)
	}
}

func (c *traffic) send(e *network.EventRequestWillBeSent) {
	if !strings.HasPrefix(e.Request.URL, "http") {
		return // data: and blob: stay in the browser
	}
	sent := &request{method: e.Request.Method, url: e.Request.URL}
	c.requests = append(c.requests, sent)
	c.byID[e.RequestID] = sent
}

func (c *traffic) fail(e *network.EventLoadingFailed) {
	if e.Canceled || e.ErrorText == "net::ERR_ABORTED" {
		return // the page does not want the response any more
	}
	url := "?"
	if sent := c.byID[e.RequestID]; sent != nil {
		url = sent.url
	}
	c.problem("request failed: %s %s", e.ErrorText, url)
}

// entry takes an entry of the browser's log. Failed requests are collected from their own events.
func (c *traffic) entry(e *log.Entry) {
	if e.Level == log.EntryLevelError && e.Source != log.EntrySourceNetwork {
		c.problem("%s: %s", e.Source, e.Text)
	}
}

func (c *traffic) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// sent returns the requests so far.
func (c *traffic) sent() []request {
	c.mu.Lock()
	defer c.mu.Unlock()
	requests := make([]request, len(c.requests))
	for i, r := range c.requests {
		requests[i] = *r
	}
	return requests
}

// unexpected returns the problems so far that match none of the patterns, and the requests to other origins.
func (c *traffic) unexpected(origins []string, expected []*regexp.Regexp) (problems []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, problem := range c.problems {
		if !matchesAny(expected, problem) {
			problems = append(problems, problem)
		}
	}
	for _, r := range c.requests {
		if !hasOrigin(r.url, origins) {
			problems = append(problems, fmt.Sprintf("request to another origin: %s %s", r.method, r.url))
		}
	}
	return problems
}

func matchesAny(patterns []*regexp.Regexp, text string) bool {
	for _, pattern := range patterns {
		if pattern.MatchString(text) {
			return true
		}
	}
	return false
}

func hasOrigin(url string, origins []string) bool {
	for _, origin := range origins {
		if strings.HasPrefix(url, origin+"/") {
			return true
		}
	}
	return false
}

func exceptionText(e *runtime.ExceptionDetails) string {
	if e.Exception != nil && e.Exception.Description != "" {
		return e.Exception.Description
	}
	return e.Text
}

func consoleText(args []*runtime.RemoteObject) string {
	var texts []string
	for _, arg := range args {
		if arg.Description != "" {
			texts = append(texts, arg.Description)
		} else {
			texts = append(texts, string(arg.Value))
		}
	}
	return strings.Join(texts, " ")
}
