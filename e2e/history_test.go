package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// call is one numbered call, as observed by its client.
type call struct {
	number int
	kind   kind
	began  time.Time
	took   time.Duration
	// checked is the result of the check; nil without a response, and then the call may or may not have a row.
	checked *checked
	// outcome is the first report that was sent; nil for none.
	outcome *authv1.Outcome
	// acknowledged reports whether a response to the report arrived.
	acknowledged bool
}

// endpoint returns the endpoint that identifies the row of a call.
func (c *call) endpoint(suffix string) string { return fmt.Sprintf("/load/%d/%s", c.number, suffix) }

// numberOf returns the number of the call of a row, or -1.
func numberOf(row *logsv1.RequestLog) int {
	number := -1
	if _, err := fmt.Sscanf(row.GetEndpoint(), "/load/%d/", &number); err != nil {
		return -1
	}
	return number
}

// history is the list of all calls of a load.
type history []*call

// answered returns the calls with a response.
func (h history) answered() (calls history) {
	for _, c := range h {
		if c.checked != nil {
			calls = append(calls, c)
		}
	}
	return calls
}

// p99 returns the 99th percentile latency of the checks that began between two times.
func (h history) p99(from, to time.Time) time.Duration {
	var took []time.Duration
	for _, c := range h {
		if !c.began.Before(from) && c.began.Before(to) {
			took = append(took, c.took)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// comparison compares a history with the stored rows.
type comparison struct {
	// wrong describes rows that are wrong or of no call, and doubled calls with several rows.
	wrong, doubled []string
	// lost describes the calls with a response and without a row.
	lost []string
	// asked, answered and rows count calls and rows by error code; unknown counts rows of calls without a response.
	asked, answered, rows, unknown map[string]int
	// reported counts acknowledged reports.
	reported int
}

func sum(counts map[string]int) (n int) {
	for count := range maps.Values(counts) {
		n += count
	}
	return n
}

func (v comparison) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d checks, %d with a response, %d reports acknowledged, %d rows, %d of them without a response; %s",
		sum(v.asked), sum(v.answered), v.reported, sum(v.rows), sum(v.unknown), v.result())
	for _, code := range slices.Sorted(maps.Keys(v.asked)) {
		fmt.Fprintf(&text, "\n  %-14s %6d checks %6d responses %6d rows", cmp.Or(code, "allowed"), v.asked[code], v.answered[code], v.rows[code])
	}
	return text.String()
}

// result returns the numbers that must be 0.
func (v comparison) result() string {
	return fmt.Sprintf("%d lost, %d doubled, %d wrong", len(v.lost), len(v.doubled), len(v.wrong))
}

// expectCorrect expects every row to be correct and to belong to exactly one call.
func (v comparison) expectCorrect(t *testing.T, seed uint64) {
	t.Helper()
	if n := len(v.wrong); n > 0 {
		t.Errorf("-seed %d: %d rows are wrong:\n%s", seed, n, strings.Join(v.wrong[:min(10, n)], "\n"))
	}
	if n := len(v.doubled); n > 0 {
		t.Errorf("-seed %d: %d calls have several rows:\n%s", seed, n, strings.Join(v.doubled[:min(10, n)], "\n"))
	}
}

// expectComplete expects one correct row of each call with a response, and at most one of each other call.
func (v comparison) expectComplete(t *testing.T, seed uint64) {
	t.Helper()
	v.expectCorrect(t, seed)
	if n := len(v.lost); n > 0 {
		t.Errorf("-seed %d: %d rows are lost:\n%s", seed, n, strings.Join(v.lost[:min(10, n)], "\n"))
	}
	for code, rows := range v.rows {
		if want := v.answered[code] + v.unknown[code]; rows != want {
			t.Errorf("-seed %d: %d rows of code %q, want %d", seed, rows, code, want)
		}
	}
}

// compare compares the rows with the calls.
func (h history) compare(rows []*logsv1.RequestLog) comparison {
	v := comparison{asked: map[string]int{}, answered: map[string]int{}, rows: map[string]int{}, unknown: map[string]int{}}
	there := map[int][]*logsv1.RequestLog{}
	for _, row := range rows {
		there[numberOf(row)] = append(there[numberOf(row)], row)
		v.rows[row.GetErrorCode()]++
	}
	for _, c := range h {
		v.add(c, there[c.number])
		delete(there, c.number)
	}
	for _, extra := range there {
		v.wrong = append(v.wrong, fmt.Sprintf("no check belongs to %v", extra))
	}
	return v
}

// add compares one call with its rows.
func (v *comparison) add(c *call, rows []*logsv1.RequestLog) {
	v.asked[c.kind.code]++
	if c.checked != nil {
		v.answered[c.kind.code]++
	}
	if c.acknowledged {
		v.reported++
	}
	switch {
	case len(rows) > 1:
		v.doubled = append(v.doubled, fmt.Sprintf("call %d has %d rows: %v", c.number, len(rows), rows))
	case len(rows) == 0 && c.checked != nil:
		v.lost = append(v.lost, fmt.Sprintf("call %d has no row; want %v", c.number, c.checked.row))
	case len(rows) == 1 && c.checked == nil:
		v.unknown[c.kind.code]++
		v.judge(c, rows[0], c.wantUnanswered(rows[0]))
	case len(rows) == 1:
		v.judge(c, rows[0], c.want(rows[0]))
	}
}

func (v *comparison) judge(c *call, row, want *logsv1.RequestLog) {
	if !proto.Equal(row, want) {
		v.wrong = append(v.wrong, fmt.Sprintf("call %d: row\n  %v, want\n  %v", c.number, row, want))
	}
}

// want returns the expected row of a call with a response. If a report was sent and not acknowledged, the row may hold
// all of it or nothing.
func (c *call) want(row *logsv1.RequestLog) *logsv1.RequestLog {
	want := proto.CloneOf(c.checked.row)
	if c.acknowledged || c.outcome != nil && row.LatencyMs != nil {
		want.Status, want.LatencyMs = c.outcome.GetStatus(), proto.Float64(c.outcome.GetLatencyMs())
	}
	return want
}

// wantUnanswered returns the row that a call without a response may have. The client does not know the other fields.
func (c *call) wantUnanswered(row *logsv1.RequestLog) *logsv1.RequestLog {
	want := proto.CloneOf(row)
	want.ErrorCode, want.WorkspaceId = c.kind.code, c.kind.workspace
	want.LatencyMs = nil
	if c.kind.code == "" {
		want.Status = 0
	}
	return want
}
