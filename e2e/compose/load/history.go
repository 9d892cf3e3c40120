package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// call is one call of a backend with its expected result.
type call struct {
	id, endpoint, agentType string
	// code is the error code of the check; empty if it is allowed.
	code string
	// status and latencyMs are reported.
	status    int32
	latencyMs float64
}

// newCall returns the nth call. Every fourth has an agent type outside the scopes of the key.
func newCall(endpoint string, n int) call {
	one := call{
		id: uuid7.New(time.Now()).String(), endpoint: endpoint, agentType: "agent", status: int32(200 + n%3), latencyMs: float64(1 + n%100),
	}
	if n%4 == 3 {
		one.agentType, one.code, one.status = "data_agent", "scope_denied", 404
	}
	return one
}

// checkDecision returns an error if the result of a check is not the expected one.
func (c call) checkDecision(id string, allowed bool, code string) error {
	if id != c.id || allowed != (c.code == "") || code != c.code {
		return fmt.Errorf("got id %q, allowed %t, code %q, want id %q and code %q", id, allowed, code, c.id, c.code)
	}
	return nil
}

// row holds the compared fields of a request log.
type row struct {
	id, code  string
	status    int32
	latencyMs float64
	calls     int32
}

func (c call) row() row {
	return row{id: c.id, code: c.code, status: c.status, latencyMs: c.latencyMs, calls: 1}
}

// history records the expected row of each successful call, by endpoint. It is safe for concurrent use.
type history struct {
	// prefix is the prefix of all endpoints of this run.
	prefix string

	mu       sync.Mutex
	answered map[string]row
	failed   int
	// failures are the first failures.
	failures []string
	slowest  time.Duration
}

// run makes calls at a steady rate until ctx ends. It completes the call in flight.
func (h *history) run(ctx context.Context, client int, do func(context.Context, call) error) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		one := newCall(fmt.Sprintf("%s/%d/%d", h.prefix, client, n), n)
		err := do(context.WithoutCancel(ctx), one)
		h.note(one, time.Since(began), err)
	}
}

func (h *history) note(one call, took time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slowest = max(h.slowest, took)
	if err == nil {
		h.answered[one.endpoint] = one.row()
		return
	}
	if h.failed++; len(h.failures) < 5 {
		h.failures = append(h.failures, fmt.Sprintf("%s %s: %v", time.Now().Format(time.TimeOnly), one.endpoint, err))
	}
}

// comparison compares the expected rows with the stored ones.
type comparison struct {
	Answered  int     `json:"answered"`
	Failed    int     `json:"failed"`
	Rows      int     `json:"rows"`
	Lost      int     `json:"lost"`
	Doubled   int     `json:"doubled"`
	Wrong     int     `json:"wrong"`
	SlowestMs float64 `json:"slowest_ms"`
}

// awaitRows waits until the stored rows are as expected. When ctx ends it returns the differences.
func (h *history) awaitRows(ctx context.Context, c *clients) (comparison, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		rows, err := c.rows(context.WithoutCancel(ctx), h.prefix)
		if err != nil {
			return comparison{}, fmt.Errorf("list the rows: %w", err)
		}
		v := h.compare(rows)
		if v.Lost+v.Doubled+v.Wrong == 0 {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return v, nil
		case <-tick.C:
		}
	}
}

// compare compares the stored rows, by endpoint, with the expected ones.
func (h *history) compare(rows map[string][]row) comparison {
	v := comparison{Answered: len(h.answered), Failed: h.failed, SlowestMs: float64(h.slowest.Milliseconds())}
	for endpoint, found := range rows {
		v.Rows += len(found)
		want, answered := h.answered[endpoint]
		switch {
		case len(found) > 1:
			v.Doubled++
		case answered && found[0] != want:
			v.Wrong++
		}
	}
	for endpoint := range h.answered {
		if len(rows[endpoint]) == 0 {
			v.Lost++
		}
	}
	return v
}
