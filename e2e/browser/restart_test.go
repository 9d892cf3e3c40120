package browser

import (
	"testing"

	"github.com/keytrail/keytrail/internal/access"
)

// TestRowsStayWhileTheServiceIsAway stops the service while the page is open.
func TestRowsStayWhileTheServiceIsAway(t *testing.T) {
	t.Parallel()
	a := account{t, startSystem(t), "acme"}
	k := a.createKey("Production Key", nil)
	a.check(k.secret, object{"endpoint": "/v1/before"})
	a.awaitRows("endpoint=before", 1)
	p := a.signInAs(access.Admin, "request-logs")
	p.waitForText("/v1/before")
	p.expect("^request failed: net::ERR_")
	p.expect("^response: 50[234] ") // of requests that were in flight
	if err := a.system.stop(); err != nil {
		t.Fatal(err)
	}
	p.search("before") // the list is loaded anew
	p.find("button", "Try again").wait()
	p.waitForText("/v1/before")
	p.waitForText("What you see is from")
	p.checkAccessible("service-away")
	if err := a.system.start(); err != nil {
		t.Fatal(err)
	}
	p.find("button", "Try again").click()
	p.find("button", "Try again").waitGone()
	a.check(k.secret, object{"endpoint": "/v1/before/after"})
	a.awaitRows("endpoint=after", 1)
	p.reload()
	p.waitForText("/v1/before/after")
}

// TestLiveGoesOnAfterARestart: what was called after the restart arrives by itself.
func TestLiveGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	a := account{t, startSystem(t), "acme"}
	k := a.createKey("Production Key", nil)
	p := a.signInAs(access.Admin, "request-logs?live=1")
	a.check(k.secret, object{"endpoint": "/v1/before"})
	p.waitForText("/v1/before")
	p.expect("^request failed: net::ERR_")
	p.expect("^response: 50[234] ")
	if err := a.system.stop(); err != nil {
		t.Fatal(err)
	}
	p.waitForText("Live is interrupted since")
	p.waitForText("/v1/before")
	if err := a.system.start(); err != nil {
		t.Fatal(err)
	}
	a.check(k.secret, object{"endpoint": "/v1/after"})
	p.waitForText("/v1/after")
}
