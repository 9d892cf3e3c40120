package browser

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/keytrail/keytrail/internal/access"
)

// readmeImages is where the README's screenshots are.
const readmeImages = "../../docs/images"

// maxReadmeImage is the size of such a file in bytes, at most.
const maxReadmeImage = 150_000

// TestScreenshotsOfTheREADME makes them with -update-screenshots. Without it, it checks that they are there, small and shown.
func TestScreenshotsOfTheREADME(t *testing.T) {
	t.Parallel()
	if *updateScreenshots {
		makeReadmeImages(t)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"request-logs", "api-keys"} {
		for _, scheme := range themes {
			name := fmt.Sprintf("%s-%s.png", page, scheme)
			if !bytes.Contains(readme, []byte(`"docs/images/`+name+`"`)) {
				t.Errorf("README.md does not show %s", name)
			}
			file := filepath.Join(readmeImages, name)
			if info, err := os.Stat(file); err != nil || info.Size() == 0 || info.Size() > maxReadmeImage {
				t.Errorf("%s: %v, %v; want at most %d bytes, as -update-screenshots makes it", file, info, err, maxReadmeImage)
			}
		}
	}
}

func makeReadmeImages(t *testing.T) {
	a := account{t, startSystem(t), "acme"}
	keys := a.demo(time.Now())
	a.disable(keys[contractor])
	a.call(access.Admin, "POST", a.keyPath(keys[globex])+":rotate", object{"gracePeriod": "75600s"})
	p := a.signInAs(access.Admin, "request-logs?endpoint=support")
	p.waitForRows(10)
	denied := a.rows("error_code=scope_denied")[0]
	p.row(denied["id"].(string)).click()
	p.findLike("link", "Edit scopes of").wait()
	p.saveReadme("request-logs")
	p.open("/workspaces/acme/api-keys")
	p.waitForText("Voice pilot")
	p.saveReadme("api-keys")
}

// saveReadme saves what the page shows, in both themes.
func (p *page) saveReadme(name string) {
	p.t.Helper()
	for _, scheme := range themes {
		p.setTheme(scheme)
		p.painted()
		image, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
		if err == nil {
			image, err = reduce(image)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(readmeImages, fmt.Sprintf("%s-%s.png", name, scheme)), image, 0o644)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}
