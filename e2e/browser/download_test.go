package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// download runs start, which downloads a file, and returns the file's name and content.
func (p *page) download(start func()) (name string, content []byte) {
	p.t.Helper()
	folder := p.t.TempDir()
	allow := cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: folder,
		BrowserContextID: chromedp.FromContext(p.ctx).BrowserContextID,
	}
	if _, err := chromedp.CallBrowser(p.ctx, cdpbrowser.SetDownloadBehavior, allow); err != nil {
		p.t.Fatal(err)
	}
	start()
	p.wait(func() error {
		files, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		// Chromium writes to hidden files and to *.crdownload until a download is complete.
		if len(files) != 1 || strings.HasPrefix(files[0].Name(), ".") || strings.HasSuffix(files[0].Name(), ".crdownload") {
			return fmt.Errorf("the downloaded files are %v", files)
		}
		name = files[0].Name()
		return nil
	})
	content, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return name, content
}
