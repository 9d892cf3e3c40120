package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// ledger is what was answered: the status that the row of each call must have, by the call's endpoint.
type ledger struct {
	// prefix is of the endpoints of this run.
	prefix string

	mu       sync.Mutex
	answered map[string]int32
	failed   int
	// failures are the first ones.
	failures []string
	slowest  time.Duration
}

// call checks and reports one call.
type call func(ctx context.Context, secret, endpoint string, status int32) error

// keepCalling calls at a steady pace until ctx ends. A call that is under way then is ended.
func (l *ledger) keepCalling(ctx context.Context, client int, secret string, call call) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		endpoint, status := fmt.Sprintf("%s/%d/%d", l.prefix, client, n), int32(200+n%3)
		began := time.Now()
		err := call(context.WithoutCancel(ctx), secret, endpoint, status)
		l.note(endpoint, status, time.Since(began), err)
	}
}

func (l *ledger) note(endpoint string, status int32, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if err == nil {
		l.answered[endpoint] = status
		return
	}
	if l.failed++; len(l.failures) < 5 {
		l.failures = append(l.failures, fmt.Sprintf("%s %s: %v", time.Now().Format(time.TimeOnly), endpoint, err))
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

// verdict judges rows: the statuses of all rows of each endpoint.
func (l *ledger) verdict(rows map[string][]int32) verdict {
	v := verdict{Answered: len(l.answered), Failed: l.failed, SlowestMs: float64(l.slowest.Milliseconds())}
	for endpoint, statuses := range rows {
		v.Rows += len(statuses)
		want, answered := l.answered[endpoint]
		switch {
		case len(statuses) > 1:
			v.Doubled++
		case answered && statuses[0] != want:
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
