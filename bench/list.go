package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

const (
	runs      = 200
	deepPages = 100
)

// request lists the workspace that has half of all rows.
type request = logsv1.ListRequestLogsRequest

// search is a measured list. Next returns a request with random values.
type search struct {
	key, name, goal string
	next            func() *request
}

// firstPages are searches of which one page is measured.
func firstPages(g *generator, r *rand.Rand) []search {
	key := func() string { return g.keys[0][r.IntN(keysPerWorkspace)].KeyID.String() }
	agent := func() string { return g.agents[0][r.IntN(agentsOfEach)] }
	item := func() string { return fmt.Sprintf("item%04d", r.IntN(commonEndpoints)) }
	const quick = "p99 ≤ 10 ms"
	return []search{
		{"list_newest", "newest page", quick, func() *request { return &request{} }},
		{"list_key", "key", quick, func() *request { return &request{KeyId: key()} }},
		{"list_5xx", "5xx", quick, func() *request { return &request{StatusClass: "5xx"} }},
		{"list_key_4xx", "key + 4xx", quick, func() *request { return &request{KeyId: key(), StatusClass: "4xx"} }},
		{"list_code", "code", quick, func() *request { return &request{ErrorCode: "scope_denied"} }},
		{"list_agent", "agent", quick, func() *request { return &request{AgentId: agent()} }},
		{"list_rare", "substring of 1 row in 7,000", "≤ 15 / 30 ms", func() *request { return &request{Endpoint: item()} }},
	}
}

// wholeWalks are searches that match nothing, which are measured until everything was searched.
func wholeWalks(r *rand.Rand) []search {
	endpoint := func(next func() string) func() *request { return func() *request { return &request{Endpoint: next()} } }
	return []search{
		{"list_absent6", "6 absent characters", "≤ 2 / 5 ms", endpoint(func() string { return "zq" + randomHex(r, 4) })},
		{"list_absent2", "2 absent characters", "≤ 10 ms", endpoint(func() string { return "zq" })},
		{"list_hex12", "12 absent hex digits", "≤ 150 ms", endpoint(func() string { return randomHex(r, 12) })},
	}
}

// lists measures all searches.
func (l *logService) lists(ctx context.Context, g *generator, r report) error {
	random := rand.New(rand.NewPCG(3, 4))
	for _, s := range firstPages(g, random) {
		took, err := l.repeat(ctx, s)
		if err != nil {
			return err
		}
		r.addTimes(s.key, s.name, took, s.goal)
	}
	deep, err := l.walk(ctx, &request{}, deepPages)
	if err != nil {
		return err
	}
	took, err := l.repeat(ctx, search{name: "deep page", next: func() *request { return &request{PageToken: deep.token} }})
	if err != nil {
		return err
	}
	r.addTimes("list_deep", "page after 100 pages", took, "p99 ≤ 10 ms")
	for _, s := range wholeWalks(random) {
		if err := l.wholeWalk(ctx, s, r); err != nil {
			return err
		}
	}
	return nil
}

// repeat measures first pages, after a warm-up.
func (l *logService) repeat(ctx context.Context, s search) (took []time.Duration, err error) {
	found := 0
	for i := -10; i < runs; i++ {
		began := time.Now()
		page, err := l.page(ctx, s.next())
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", s.name, err)
		}
		if i >= 0 {
			took = append(took, time.Since(began))
		}
		found += len(page.GetRequestLogs())
	}
	if found == 0 {
		return nil, fmt.Errorf("list %s: no page has a row", s.name)
	}
	return took, nil
}

// wholeWalk measures walks to the end.
func (l *logService) wholeWalk(ctx context.Context, s search, r report) error {
	var took []time.Duration
	pages := 0
	for i := -2; i < runs/4; i++ {
		began := time.Now()
		w, err := l.walk(ctx, s.next(), 100_000)
		switch {
		case err != nil:
			return fmt.Errorf("list %s: %w", s.name, err)
		case w.found > 0 || w.token != "":
			return fmt.Errorf("list %s: %d rows found in %d pages, next page %q", s.name, w.found, w.pages, w.token)
		case i >= 0:
			took = append(took, time.Since(began))
			pages = max(pages, w.pages)
		}
	}
	r[s.key+"_pages"] = float64(pages)
	r.addTimes(s.key, fmt.Sprintf("%s, all 30 days (pages: %d)", s.name, pages), took, s.goal)
	return nil
}

func (l *logService) page(ctx context.Context, req *request) (*logsv1.ListRequestLogsResponse, error) {
	req.WorkspaceId, req.PageSize = "ws-0000", 50
	page, err := l.client.ListRequestLogs(ctx, req)
	if damaged := page.GetUnreadableRanges(); len(damaged) > 0 {
		return nil, fmt.Errorf("%v cannot be read", damaged)
	}
	return page, err
}

// walked is the result of a walk.
type walked struct {
	pages, found int
	// token is that of the next page, empty at the end.
	token string
}

// walk lists a number of pages, or fewer if there are no more. It waits while too many others search.
func (l *logService) walk(ctx context.Context, req *request, pages int) (w walked, err error) {
	for w.pages < pages {
		page, err := l.page(ctx, req)
		if status.Code(err) == codes.ResourceExhausted {
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return w, err
			}
			continue
		}
		if err != nil {
			return w, err
		}
		w.pages++
		w.found += len(page.GetRequestLogs())
		w.token = page.GetNextPageToken()
		if req.PageToken = w.token; w.token == "" {
			break
		}
	}
	return w, nil
}
