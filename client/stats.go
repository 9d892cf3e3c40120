package client

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Stats counts calls and reports since New. Each call counts once among the first five when its check is over; each call that
// has a row of its own counts once among the reports when that is settled. To publish it: expvar.Publish("keytrail",
// expvar.Func(func() any { return kt.Stats() })).
type Stats struct {
	// Allowed and Denied calls were checked.
	Allowed, Denied int64
	// UnknownPath calls were refused with 403, because they name no agent of a known type, or one of a workspace that is
	// not served here.
	UnknownPath int64
	// Refused calls were refused with 503, because they could not be checked.
	Refused int64
	// Unchecked calls were served although they could not be checked: see WithFailOpen.
	Unchecked int64

	// ReportsSent were accepted by the auth service.
	ReportsSent int64
	// ReportsRefused were refused by it: their tokens are not valid (any more).
	ReportsRefused int64
	// ReportsDropped were not sent: 65,536 others were waiting, or the client was closed. Their rows stay without latency,
	// and those of allowed calls in progress.
	ReportsDropped int64
	// ReportsPending wait to be sent now.
	ReportsPending int64
}

// counters are the fields of Stats.
type counters struct {
	allowed, denied, unknownPath, refused, unchecked            atomic.Int64
	reportsSent, reportsRefused, reportsDropped, reportsPending atomic.Int64
}

// Stats returns the counts at this moment.
func (c *Client) Stats() Stats {
	n := &c.counters
	return Stats{
		Allowed: n.allowed.Load(), Denied: n.denied.Load(), UnknownPath: n.unknownPath.Load(), Refused: n.refused.Load(),
		Unchecked: n.unchecked.Load(), ReportsSent: n.reportsSent.Load(), ReportsRefused: n.reportsRefused.Load(),
		ReportsDropped: n.reportsDropped.Load(), ReportsPending: n.reportsPending.Load(),
	}
}

// warnings logs problems, each at most once a minute: a problem of the auth service comes with every call.
type warnings struct {
	log *slog.Logger

	mu sync.Mutex
	// last is when each message was logged.
	last map[string]time.Time
}

func (w *warnings) warn(message string, args ...any) {
	w.mu.Lock()
	now := time.Now()
	due := now.Sub(w.last[message]) >= time.Minute
	if due {
		w.last[message] = now
	}
	w.mu.Unlock()
	if due {
		w.log.Warn(message, args...)
	}
}
