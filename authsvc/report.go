package authsvc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Outcome is how a call ended.
type Outcome struct {
	ReportToken string
	// Status is the HTTP status that the caller got.
	Status int
	// Latency is the call's, end to end.
	Latency time.Duration
}

// RefusalReason says why an outcome was not taken.
type RefusalReason string

// The reasons.
const (
	// InvalidReport is of a report token that this platform has not made, or that was damaged.
	InvalidReport RefusalReason = "invalid"
	// ExpiredReport is of a call that began more than 25 hours ago.
	ExpiredReport RefusalReason = "expired"
	// ForeignReport is of a workspace that the reporter may not report for.
	ForeignReport RefusalReason = "foreign_workspace"
)

// RefusedOutcome is an outcome that was not taken, by its position.
type RefusedOutcome struct {
	Index  int
	Reason RefusalReason
}

// Report appends the rows of calls that have ended, and returns those that it refused. mayReport reports whether the
// caller may report for a workspace. On an error nothing is known to be taken.
func (c *Checker) Report(ctx context.Context, outcomes []Outcome, mayReport func(workspaceID string) bool) ([]RefusedOutcome, error) {
	now := c.config.Now()
	rows := make([]Entry, 0, len(outcomes))
	var refused []RefusedOutcome
	for i, o := range outcomes {
		call, reason, err := c.openToken(o.ReportToken, now, mayReport)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			refused = append(refused, RefusedOutcome{i, reason})
			continue
		}
		row := call.entry
		row.Status, row.Latency = o.Status, o.Latency
		row.Reported, row.FromReport, row.CallCount = true, true, 1
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		if err := c.config.Trail.Append(ctx, rows...); err != nil {
			return nil, fmt.Errorf("append %d reported rows: %w", len(rows), err)
		}
	}
	for _, r := range refused {
		c.refused[r.Reason].Add(1)
	}
	return refused, nil
}

// openToken reads a report token, or says why it is refused.
func (c *Checker) openToken(token string, now time.Time, mayReport func(string) bool) (sealedCall, RefusalReason, error) {
	call, err := c.tokens.open(token)
	switch {
	case errors.Is(err, errForged):
		return call, InvalidReport, nil
	case err != nil:
		return call, "", err
	case !mayReport(call.workspace()):
		return call, ForeignReport, nil
	case call.expired(now):
		return call, ExpiredReport, nil
	}
	return call, "", nil
}

// refusals count refused outcomes by reason.
type refusals map[RefusalReason]*atomic.Int64

func newRefusals() refusals {
	return refusals{InvalidReport: new(atomic.Int64), ExpiredReport: new(atomic.Int64), ForeignReport: new(atomic.Int64)}
}

// RefusedReports returns how many outcomes were refused since the start, by reason.
func (c *Checker) RefusedReports() map[RefusalReason]int64 {
	counted := make(map[RefusalReason]int64, len(c.refused))
	for reason, n := range c.refused {
		counted[reason] = n.Load()
	}
	return counted
}
