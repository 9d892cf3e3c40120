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

// call is one numbered call as its client knows it.
type call struct {
	number int
	kind   kind
	began  time.Time
	took   time.Duration
	// checked is what the check was answered; nil = no answer came, so that it may have a row or not.
	checked *checked
	// outcome is the first report that was sent of it; nil = none was.
	outcome *authv1.Outcome
	// acknowledged tells that the report was answered.
	acknowledged bool
}

// endpoint is what tells the row of a call.
func (c *call) endpoint(suffix string) string { return fmt.Sprintf("/load/%d/%s", c.number, suffix) }

// numberOf is the number of the call whose row this is; -1 = it is none's.
func numberOf(row *logsv1.RequestLog) int {
	number := -1
	if _, err := fmt.Sscanf(row.GetEndpoint(), "/load/%d/", &number); err != nil {
		return -1
	}
	return number
}

// ledger is every call that was made.
type ledger []*call

// answered are the calls whose check was answered.
func (l ledger) answered() (calls ledger) {
	for _, c := range l {
		if c.checked != nil {
			calls = append(calls, c)
		}
	}
	return calls
}

// p99 is the 99th percentile of how long the checks took that began between two times.
func (l ledger) p99(from, to time.Time) time.Duration {
	var took []time.Duration
	for _, c := range l {
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

// verdict is what became of the calls of a ledger.
type verdict struct {
	// problems are rows that are wrong, twice there, or of no call.
	problems []string
	// lost are the answered calls without a row.
	lost []string
	// asked, answered and rows count calls and rows by error code; unknown are rows of calls without an answer.
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

// String sums it up in some lines.
func (v verdict) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d checks, %d answered, %d reports acknowledged, %d rows, %d of them of checks without an answer; %d lost, %d wrong",
		sum(v.asked), sum(v.answered), v.reported, sum(v.rows), sum(v.unknown), len(v.lost), len(v.problems))
	for _, code := range slices.Sorted(maps.Keys(v.asked)) {
		fmt.Fprintf(&text, "\n  %-14s %6d checks %6d answered %6d rows", cmp.Or(code, "allowed"), v.asked[code], v.answered[code], v.rows[code])
	}
	return text.String()
}

// expectRight expects every row that there is to be right, and of a call of its own.
func (v verdict) expectRight(t *testing.T, seed uint64) {
	t.Helper()
	if n := len(v.problems); n > 0 {
		t.Errorf("-seed %d: %d rows are wrong:\n%s", seed, n, strings.Join(v.problems[:min(10, n)], "\n"))
	}
}

// expectWhole expects exactly one right row of each answered call, at most one of the others, and no more.
func (v verdict) expectWhole(t *testing.T, seed uint64) {
	t.Helper()
	v.expectRight(t, seed)
	if n := len(v.lost); n > 0 {
		t.Errorf("-seed %d: %d rows are lost:\n%s", seed, n, strings.Join(v.lost[:min(10, n)], "\n"))
	}
	for code, rows := range v.rows {
		if want := v.answered[code] + v.unknown[code]; rows != want {
			t.Errorf("-seed %d: %d rows of code %q, want %d", seed, rows, code, want)
		}
	}
}

// compare holds the rows that there are against the calls.
func (l ledger) compare(rows []*logsv1.RequestLog) verdict {
	v := verdict{asked: map[string]int{}, answered: map[string]int{}, rows: map[string]int{}, unknown: map[string]int{}}
	there := map[int][]*logsv1.RequestLog{}
	for _, row := range rows {
		there[numberOf(row)] = append(there[numberOf(row)], row)
		v.rows[row.GetErrorCode()]++
	}
	for _, c := range l {
		v.add(c, there[c.number])
		delete(there, c.number)
	}
	for _, extra := range there {
		v.problems = append(v.problems, fmt.Sprintf("no check is known of %v", extra))
	}
	return v
}

// add judges one call by its rows.
func (v *verdict) add(c *call, rows []*logsv1.RequestLog) {
	v.asked[c.kind.code]++
	if c.checked != nil {
		v.answered[c.kind.code]++
	}
	if c.acknowledged {
		v.reported++
	}
	switch {
	case len(rows) > 1:
		v.problems = append(v.problems, fmt.Sprintf("call %d has %d rows: %v", c.number, len(rows), rows))
	case len(rows) == 0 && c.checked != nil:
		v.lost = append(v.lost, fmt.Sprintf("call %d has no row; want %v", c.number, c.checked.row))
	case len(rows) == 1 && c.checked == nil:
		v.unknown[c.kind.code]++
		v.judge(c, rows[0], c.wantUnanswered(rows[0]))
	case len(rows) == 1:
		v.judge(c, rows[0], c.want(rows[0]))
	}
}

func (v *verdict) judge(c *call, row, want *logsv1.RequestLog) {
	if !proto.Equal(row, want) {
		v.problems = append(v.problems, fmt.Sprintf("call %d has the row\n  %v, want\n  %v", c.number, row, want))
	}
}

// want is the row that an answered call must have. Of a report that was sent and not acknowledged it may hold
// nothing or all.
func (c *call) want(row *logsv1.RequestLog) *logsv1.RequestLog {
	want := proto.CloneOf(c.checked.row)
	if c.acknowledged || c.outcome != nil && row.LatencyMs != nil {
		want.Status, want.LatencyMs = c.outcome.GetStatus(), proto.Float64(c.outcome.GetLatencyMs())
	}
	return want
}

// wantUnanswered is the row that a call without an answer may have: only the service knows the rest.
func (c *call) wantUnanswered(row *logsv1.RequestLog) *logsv1.RequestLog {
	want := proto.CloneOf(row)
	want.ErrorCode, want.WorkspaceId = c.kind.code, c.kind.workspace
	want.LatencyMs = nil
	if c.kind.code == "" {
		want.Status = 0
	}
	return want
}
