package browser

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// scrolledRows is how many rows a person scrolls through.
const scrolledRows = 5000

// recordMany stores rows of the last two hours.
func (a account) recordMany(count int) {
	a.t.Helper()
	now := time.Now()
	rows := make([]*logsv1.RequestLog, count)
	for i := range rows {
		rows[i] = &logsv1.RequestLog{
			Time: timestamppb.New(now.Add(-time.Duration(i) * time.Second)), AgentType: "agent", AgentId: "support-bot", Method: "POST",
			Endpoint: fmt.Sprintf("/v1/agents/support-bot/messages/%d", i), Status: 200, LatencyMs: new(float64(i%500) + 1), CallCount: 1,
		}
	}
	a.record(rows...)
}

// scrollDown scrolls the table by most of its height and returns whether it moved.
const scrollDown = `(async () => {
  let list = document.querySelector("[id^=row-]");
  while (list.scrollHeight <= list.clientHeight + 1 || !/auto|scroll/.test(getComputedStyle(list).overflowY)) {
    if (!(list = list.parentElement)) { list = document.scrollingElement; break }
  }
  const before = list.scrollTop;
  list.scrollBy({ top: list.clientHeight * 0.8, behavior: "instant" });
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  return list.scrollTop > before;
})()`

func TestScrollingShowsEveryRowOnce(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.recordMany(scrolledRows)
	want := idsOf(a.rows(""))
	if len(want) != scrolledRows {
		t.Fatalf("the API has %d rows, want %d", len(want), scrolledRows)
	}
	p := a.signInAs(access.Viewer, "request-logs")
	p.scrollThrough(want)
}

// TestLiveBringsAllThatCameWhileItWasOff turns Live on in a page that was opened before many calls.
func TestLiveBringsAllThatCameWhileItWasOff(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.record(&logsv1.RequestLog{Time: timestamppb.New(time.Now().Add(-3 * time.Hour)), Method: "GET", Endpoint: "/v1/first",
		Status: 200, CallCount: 1})
	p := a.signInAs(access.Viewer, "request-logs")
	p.waitForText("/v1/first")
	a.recordMany(1500)
	want := idsOf(a.rows(""))
	p.find("button", "Live").click()
	p.row(want[0]).wait()
	p.scrollThrough(want)
}

// scrollThrough scrolls to the end. What the table shows must always be a part of the API's list `want`, without a gap and
// without a repetition, and all of it together the whole list.
func (p *page) scrollThrough(want []string) {
	p.t.Helper()
	p.setViewport(1440, 3000)
	p.waitForRows(1)
	position := map[string]int{}
	for i, id := range want {
		position[id] = i
	}
	shown := make([]bool, len(want))
	lastNew := time.Now()
	for seen := 0; seen < len(want); {
		ids := p.rowIDs()
		first, ok := position[ids[0]]
		if !ok || len(ids) > len(want)-first || !slices.Equal(ids, want[first:first+len(ids)]) {
			p.t.Fatalf("the table shows %v, which is no part of the list (from row %d on: %v)",
				ids, first, want[first:min(first+len(ids), len(want))])
		}
		for i := range ids {
			if !shown[first+i] {
				shown[first+i], seen, lastNew = true, seen+1, time.Now()
			}
		}
		if !eval[bool](p, scrollDown) && time.Since(lastNew) > waitTimeout {
			p.t.Fatalf("scrolling ends after %d of %d rows", seen, len(want))
		}
	}
}
