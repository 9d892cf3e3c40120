package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/keytrail/keytrail/internal/uuid7"
)

// call is one call of a backend, and how it must end.
type call struct {
	id, endpoint, agentType string
	// code is what the check denies it with; empty if it is allowed.
	code string
	// status and latencyMs are reported.
	status    int32
	latencyMs float64
}

// newCall makes the nth call to an endpoint. Every fourth asks for an agent type that the key has no scope for.
func newCall(endpoint string, n int) call {
	one := call{
		id: uuid7.New(time.Now()).String(), endpoint: endpoint, agentType: "agent", status: int32(200 + n%3), latencyMs: float64(1 + n%100),
	}
	if n%4 == 3 {
		one.agentType, one.code, one.status = "data_agent", "scope_denied", 404
	}
	return one
}

// decidedAs compares what the check answered with what it must answer.
func (c call) decidedAs(id string, allowed bool, code string) error {
	if id != c.id || allowed != (c.code == "") || code != c.code {
		return fmt.Errorf("answered id %q, allowed %t, code %q, want id %q and code %q", id, allowed, code, c.id, c.code)
	}
	return nil
}

// row is what the request logs say of a call.
type row struct {
	id, code  string
	status    int32
	latencyMs float64
	calls     int32
}

func (c call) row() row {
	return row{id: c.id, code: c.code, status: c.status, latencyMs: c.latencyMs, calls: 1}
}

// ledger is what was answered: the row that each call must have, by the call's endpoint.
type ledger struct {
	// prefix is of the endpoints of this run.
	prefix string

	mu       sync.Mutex
	answered map[string]row
	failed   int
	// failures are the first ones.
	failures []string
	slowest  time.Duration
}

// keepCalling calls at a steady pace until ctx ends. A call that is under way then is ended.
func (l *ledger) keepCalling(ctx context.Context, client int, do func(context.Context, call) error) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		one := newCall(fmt.Sprintf("%s/%d/%d", l.prefix, client, n), n)
		err := do(context.WithoutCancel(ctx), one)
		l.note(one, time.Since(began), err)
	}
}

func (l *ledger) note(one call, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if err == nil {
		l.answered[one.endpoint] = one.row()
		return
	}
	if l.failed++; len(l.failures) < 5 {
		l.failures = append(l.failures, fmt.Sprintf("%s %s: %v", time.Now().Format(time.TimeOnly), one.endpoint, err))
	}
}

// verdict compares what was answered with the rows there are.
type verdict struct {
	Answered  int     `json:"answered"`
	Failed    int     `json:"failed"`
	Rows      int     `json:"rows"`
	Lost      int     `json:"lost"`
	Doubled   int     `json:"doubled"`
	Wrong     int     `json:"wrong"`
	SlowestMs float64 `json:"slowest_ms"`
}

// compare waits until every answered call has its row, and answers what is not as it should be when ctx ends.
func (l *ledger) compare(ctx context.Context, c *clients) (verdict, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		rows, err := c.rows(context.WithoutCancel(ctx), l.prefix)
		if err != nil {
			return verdict{}, fmt.Errorf("list the rows: %w", err)
		}
		v := l.verdict(rows)
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

// verdict judges the rows of each endpoint.
func (l *ledger) verdict(rows map[string][]row) verdict {
	v := verdict{Answered: len(l.answered), Failed: l.failed, SlowestMs: float64(l.slowest.Milliseconds())}
	for endpoint, found := range rows {
		v.Rows += len(found)
		want, answered := l.answered[endpoint]
		switch {
		case len(found) > 1:
			v.Doubled++
		case answered && found[0] != want:
			v.Wrong++
		}
	}
	for endpoint := range l.answered {
		if len(rows[endpoint]) == 0 {
			v.Lost++
		}
	}
	return v
}
