package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// errNoChromium is why a test is skipped, or fails if CI is set.
var errNoChromium = errors.New("no Chromium here: apt-get install chromium")

// chromium is the browser of the running test package. It starts on first use.
var chromium struct {
	once    sync.Once
	ctx     context.Context
	cancel  context.CancelFunc
	profile string
	err     error
}

// browserContext starts Chromium if needed and returns the context that tabs are made from.
func browserContext(t *testing.T) context.Context {
	t.Helper()
	chromium.once.Do(func() { chromium.err = startBrowser() })
	switch err := chromium.err; {
	case err == nil:
	case errors.Is(err, errNoChromium) && os.Getenv("CI") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
	return chromium.ctx
}

func startBrowser() error {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return errNoChromium
	}
	if chromium.profile, err = os.MkdirTemp("", "keytrail-chromium-"); err != nil {
		return fmt.Errorf("folder for the profile of Chromium: %w", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(chromium.profile),
		chromedp.NoSandbox, // it does not start as root otherwise
		// No name is resolved: a request to another host fails instead of leaving the machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Flag("font-render-hinting", "none"),
		chromedp.Flag("lang", "en-US"),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	chromium.ctx, chromium.cancel = ctx, func() { cancel(); cancelAllocator() }
	if err := chromedp.Do(ctx); err != nil {
		return fmt.Errorf("start Chromium: %w", err)
	}
	return nil
}

// stopBrowser ends Chromium and deletes its profile.
func stopBrowser() error {
	if chromium.cancel == nil {
		return nil
	}
	chromium.cancel()
	return os.RemoveAll(chromium.profile)
}
