// Package browser tests the console: it starts the built binary, opens the console in Chromium and uses it as a person
// does. Elements are found by role and accessible name, as a screen reader finds them.
//
// Each test has a tab of its own, with its own storage. When it ends it fails on every script error, violation of the
// content security policy, failed request and request to another origin that it did not expect.
package browser

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

// waitTimeout is how long a test waits for a condition, on a slow machine with all other tests running.
const waitTimeout = 30 * time.Second

var (
	screenshots       = flag.String("screenshots", "", "folder for screenshots of pages and popups, in both themes and 3 widths")
	updateScreenshots = flag.Bool("update-screenshots", false, "write the screenshots of the README to docs/images")
	measure           = flag.Bool("perf", false, "measure the first rows and the frame rate while scrolling, and print the figures")
)

func TestMain(m *testing.M) {
	// Tests mostly wait, for pages and rows. Set before flag.Parse, so that the command line can override it.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	flag.Parse()
	m.Run() // TestMain exits with its code
	for _, err := range []error{stopBrowser(), stopShared(), os.RemoveAll(built.dir)} {
		if err != nil {
			fmt.Fprintln(os.Stderr, "browser:", err)
		}
	}
}
