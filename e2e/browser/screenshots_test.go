package browser

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/chromedp"
)

// widths are the viewports of screenshots in pixels.
var widths = []int64{1440, 1024, 380}

// saveAll saves what the page shows, in both themes and all widths, if -screenshots names a folder.
func (p *page) saveAll(name string) {
	p.t.Helper()
	if *screenshots == "" {
		return
	}
	for _, width := range widths {
		p.setViewport(width, 900)
		for _, scheme := range themes {
			p.setTheme(scheme)
			p.save(filepath.Join(*screenshots, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)))
		}
	}
	p.setTheme("light")
	p.setViewport(1440, 900)
}

// painted waits until the page has painted its present state.
func (p *page) painted() {
	p.t.Helper()
	eval[any](p, `document.fonts.ready.then(() =>
  new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null)))))`)
}

// save writes a screenshot.
func (p *page) save(file string) {
	p.t.Helper()
	p.painted()
	image, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, image, 0o644)
	}
	if err != nil {
		p.t.Errorf("screenshot: %v", err)
	}
}

// saveFailure saves what a failed test saw, if -screenshots names a folder.
func (p *page) saveFailure() {
	if *screenshots != "" {
		p.save(filepath.Join(*screenshots, "failed-"+p.t.Name()+".png"))
	}
}

// cutOff lists what is beyond the right edge of the screen, in JavaScript. Filters and code are there to be scrolled sideways.
const cutOff = `[...document.querySelectorAll("button, a, input, h1, [role=columnheader], [role=row]")].filter(e => {
  const { width, right } = e.getBoundingClientRect();
  return width > 0 && right > innerWidth + 1 && !e.closest(".filters, .key-filters, pre");
}).slice(0, 3).map(e => e.outerHTML.slice(0, 120))`

// runsOver lists texts that run out of their element over what is beside it, in JavaScript.
const runsOver = `[...document.querySelectorAll("nav *, header *")].filter(e =>
  e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "visible"
).slice(0, 3).map(e => e.outerHTML.slice(0, 120))`

// expectFits checks that the page is not wider than the screen, and nothing is cut off or runs over something else, while the
// window is made narrower and wider again.
func (p *page) expectFits(where string) {
	p.t.Helper()
	for _, width := range []int64{1440, 1024, 380, 1024, 1440} {
		p.setViewport(width, 900)
		p.expectFitsAt(where, width)
	}
}

func (p *page) expectFitsAt(where string, width int64) {
	p.t.Helper()
	if wide := eval[int64](p, "document.documentElement.scrollWidth"); wide > width {
		p.t.Errorf("%s: the page is %d pixels wide on a screen of %d", where, wide, width)
	}
	if cut := eval[[]string](p, cutOff); len(cut) > 0 {
		p.t.Errorf("%s: on a screen of %d pixels these are cut off: %q", where, width, cut)
	}
	if over := eval[[]string](p, runsOver); len(over) > 0 {
		p.t.Errorf("%s: on a screen of %d pixels these run over others: %q", where, width, over)
	}
}
