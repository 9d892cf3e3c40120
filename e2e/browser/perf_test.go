package browser

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"

	"github.com/keytrail/keytrail/internal/access"
)

// frames counts the frames of a time, as the browser's tracing has them.
type frames struct {
	// drawn frames reached the screen. Dropped ones were due, and did not.
	drawn, dropped int
	// longest is the longest time between two drawn frames, in milliseconds.
	longest float64
	// perSecond is the rate of drawn frames from the first to the last.
	perSecond float64
}

// frameCounter counts frames from the events of a trace. It is safe for concurrent use.
type frameCounter struct {
	mu          sync.Mutex
	frames      frames
	first, last float64 // times of drawn frames in µs
	ended       chan struct{}
}

func (c *frameCounter) listen(event any) {
	switch e := event.(type) {
	case *tracing.EventDataCollected:
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, text := range e.Value {
			c.count(text)
		}
	case *tracing.EventTracingComplete:
		close(c.ended)
	}
}

// count counts one entry of a trace.
func (c *frameCounter) count(text []byte) {
	var entry struct {
		Name string  `json:"name"`
		Time float64 `json:"ts"` // µs
	}
	if json.Unmarshal(text, &entry) != nil {
		return
	}
	switch entry.Name {
	case "DroppedFrame":
		c.frames.dropped++
	case "DrawFrame":
		c.frames.drawn++
		if c.first == 0 {
			c.first = entry.Time
		} else {
			c.frames.longest = max(c.frames.longest, (entry.Time-c.last)/1000)
			c.frames.perSecond = float64(c.frames.drawn-1) * 1e6 / (entry.Time - c.first)
		}
		c.last = entry.Time
	}
}

// traceFrames counts the frames while run runs.
func (p *page) traceFrames(run func()) frames {
	p.t.Helper()
	counter := &frameCounter{ended: make(chan struct{})}
	if err := chromedp.ListenBrowser(p.ctx, counter.listen); err != nil {
		p.t.Fatal(err)
	}
	start := tracing.StartParams{TraceConfig: &tracing.TraceConfig{
		IncludedCategories: []string{"disabled-by-default-devtools.timeline.frame", "devtools.timeline.frame"}}}
	if _, err := chromedp.CallBrowser(p.ctx, tracing.Start, start); err != nil {
		p.t.Fatal(err)
	}
	run()
	if _, err := chromedp.CallBrowser(p.ctx, tracing.End, cdp.Empty{}); err != nil {
		p.t.Fatal(err)
	}
	<-counter.ended
	return counter.frames
}

// scroll scrolls what is at a point down by some pixels, at a speed in pixels per second, as a mouse wheel does.
func (p *page) scroll(x, y, distance float64, speed int64) {
	p.t.Helper()
	gesture := input.SynthesizeScrollGestureParams{
		X: x, Y: y, YDistance: -distance, Speed: speed, GestureSourceType: input.GestureSourceTypeMouse,
	}
	if _, err := chromedp.Call(p.ctx, input.SynthesizeScrollGesture, gesture); err != nil {
		p.t.Fatal(err)
	}
}

// watchFirstRow notes in a page when its first row is there, in milliseconds since the navigation began.
const watchFirstRow = `new MutationObserver((_, observer) => {
  if (!document.querySelector("[id^=row-]")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.firstRow = performance.now() }));
}).observe(document, { childList: true, subtree: true });`

// TestSpeed prints figures; it is no test. Run it alone: go test ./e2e/browser -run TestSpeed -v -args -perf
func TestSpeed(t *testing.T) {
	if !*measure {
		return // it would measure the other tests
	}
	a := newAccount(t)
	a.demo(time.Now())
	a.recordMany(scrolledRows)
	p := a.signInAs(access.Admin, "request-logs")
	p.waitForRows(1)
	p.measureScrolling(t)
	watch := cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: watchFirstRow}
	if _, err := call(p, cdppage.AddScriptToEvaluateOnNewDocument, watch); err != nil {
		t.Fatal(err)
	}
	var sinceStart, sinceLoad []float64
	for range 11 { // the first one warms up
		p.reload()
		p.waitFor("window.firstRow > 0")
		row := eval[float64](p, "window.firstRow")
		sinceStart = append(sinceStart, row)
		sinceLoad = append(sinceLoad, row-eval[float64](p, "performance.getEntriesByType('navigation')[0].loadEventEnd"))
	}
	t.Logf("first rows, median of %d: %.0f ms after the load event, %.0f ms after the navigation began",
		len(sinceStart)-1, median(sinceLoad[1:]), median(sinceStart[1:]))
}

// measureScrolling scrolls through all rows as a mouse wheel does, and prints the frame rate.
func (p *page) measureScrolling(t *testing.T) {
	t.Helper()
	const rowHeight, speed = 38, 8000 // pixels; pixels per second
	begin := p.rowIDs()[0]
	counted := p.traceFrames(func() { p.scroll(700, 600, scrolledRows*rowHeight, speed) })
	if slices.Contains(p.rowIDs(), begin) {
		t.Fatal("the table was not scrolled")
	}
	t.Logf("scrolling %d rows: %.1f frames a second (%d drawn, %d dropped), at most %.0f ms apart",
		scrolledRows, counted.perSecond, counted.drawn, counted.dropped, counted.longest)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
