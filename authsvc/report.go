package authsvc

import (
	"context"
	"errors"
	"fmt"
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

// RefusalReason says why an outcome was refused.
type RefusalReason string

// The reasons.
const (
	// InvalidReport means that this platform has not made the report token, or that it was altered.
	InvalidReport RefusalReason = "invalid"
	// ExpiredReport means that the call began more than 25 hours ago.
	ExpiredReport RefusalReason = "expired"
	// ForeignReport means that the caller may not report for the workspace.
	ForeignReport RefusalReason = "foreign_workspace"
)

// RefusedOutcome names a refused outcome by its index.
type RefusedOutcome struct {
	Index  int
	Reason RefusalReason
}

// Report appends the rows of calls that have ended and returns the outcomes that it refused. mayReport reports whether the
// caller may report for a workspace. After an error the caller must assume that nothing was recorded.
func (c *Checker) Report(ctx context.Context, outcomes []Outcome, mayReport func(workspaceID string) bool) ([]RefusedOutcome, error) {
	now := c.config.Now()
	rows := make([]Entry, 0, len(outcomes))
	var refused []RefusedOutcome
	for i, o := range outcomes {
		call, reason, err := c.decryptToken(o.ReportToken, now, mayReport)
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

// decryptToken decrypts a report token, or returns why it is refused.
func (c *Checker) decryptToken(token string, now time.Time, mayReport func(string) bool) (tokenPayload, RefusalReason, error) {
	call, err := c.tokens.decrypt(token)
	switch {
	case errors.Is(err, errInvalidToken):
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

// RefusedReports returns how many outcomes were refused since the start, by reason.
func (c *Checker) RefusedReports() map[RefusalReason]int64 { return c.refused.snapshot() }
