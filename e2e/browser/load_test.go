package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/access"
)

// maxFirstLoad is how much the browser may receive for the console before the first rows, in bytes, without the API's data.
const maxFirstLoad = 80_000

func TestTheFirstLoadIsSmall(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.demo(time.Now())
	p := a.signInAs(access.Admin, "request-logs")
	p.waitForRows(1)
	var sum float64
	for _, r := range p.traffic.sent() {
		if !strings.HasPrefix(r.url, p.origin+"/v1/") {
			t.Logf("%7.0f bytes %s", r.received, r.url)
			sum += r.received
		}
	}
	if sum == 0 || sum > maxFirstLoad {
		t.Errorf("the first load took %.0f bytes, want at most %d", sum, maxFirstLoad)
	}
}
