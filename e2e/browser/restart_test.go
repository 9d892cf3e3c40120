package browser

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
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
	a.record(&logsv1.RequestLog{Time: timestamppb.New(time.Now().Add(-10 * time.Minute)), CallCount: 1, AgentType: "agent",
		Method: "POST", Endpoint: "/v1/in-progress", KeyId: k.id, KeyName: k.name, KeyLast4: k.last4})
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
	p.waitForText("may have changed while live was interrupted")
	p.find("button", "Load again").click()
	p.find("button", "Load again").waitGone()
}
