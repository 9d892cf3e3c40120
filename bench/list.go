package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

const (
	runs      = 200
	deepPages = 100
)

// request lists the workspace that has half of all rows.
type request = logsv1.ListRequestLogsRequest

// searches returns the measured searches. Each returns a request with random values.
func searches(g *generator, r *rand.Rand) map[string]func() *request {
	key := func() string { return g.keys[0][r.IntN(keysPerWorkspace)].KeyID.String() }
	return map[string]func() *request{
		"none":    func() *request { return &request{} },
		"key":     func() *request { return &request{KeyId: key()} },
		"5xx":     func() *request { return &request{StatusClass: "5xx"} },
		"key_4xx": func() *request { return &request{KeyId: key(), StatusClass: "4xx"} },
		"common": func() *request {
			return &request{Endpoint: []string{"Messages", "/v1/", "billing", "tools"}[r.IntN(4)]}
		},
		"rare":    func() *request { return &request{Endpoint: fmt.Sprintf("item%04d", r.IntN(commonEndpoints))} },
		"absent6": func() *request { return &request{Endpoint: "zq" + randomHex(r, 4)} },
	}
}

// listAll measures every search and returns its p99 in ms.
func (l *logService) listAll(ctx context.Context, g *generator, print func(name string, took []time.Duration)) (map[string]float64, error) {
	p99 := map[string]float64{}
	note := func(name string, took []time.Duration, err error) error {
		if err != nil {
			return fmt.Errorf("list %s: %w", name, err)
		}
		print(name, took)
		p99[name] = ms(quantile(took, 0.99))
		return nil
	}
	for name, make := range searches(g, rand.New(rand.NewPCG(3, 4))) {
		took, err := l.repeat(ctx, make)
		if err := note(name, took, err); err != nil {
			return nil, err
		}
	}
	token, err := l.walk(ctx, &request{}, deepPages, nil)
	if err != nil {
		return nil, err
	}
	took, err := l.repeat(ctx, func() *request { return &request{PageToken: token} })
	if err := note("deep_page", took, err); err != nil {
		return nil, err
	}
	var pages []time.Duration
	_, err = l.walk(ctx, &request{Endpoint: "zq"}, 10_000, func(d time.Duration) { pages = append(pages, d) })
	return p99, note("absent2", pages, err)
}

// repeat measures first pages, after a warm-up.
func (l *logService) repeat(ctx context.Context, make func() *request) ([]time.Duration, error) {
	took := []time.Duration{}
	for i := -10; i < runs; i++ {
		began := time.Now()
		if _, err := l.page(ctx, make()); err != nil {
			return nil, err
		}
		if i >= 0 {
			took = append(took, time.Since(began))
		}
	}
	return took, nil
}

func (l *logService) page(ctx context.Context, req *request) (*logsv1.ListRequestLogsResponse, error) {
	req.WorkspaceId, req.PageSize = "ws-0000", 50
	return l.client.ListRequestLogs(ctx, req)
}

// walk lists a number of pages, or all, and returns the next page token.
func (l *logService) walk(ctx context.Context, req *request, pages int, each func(time.Duration)) (token string, err error) {
	for range pages {
		began := time.Now()
		page, err := l.page(ctx, req)
		if err != nil {
			return "", err
		}
		if each != nil {
			each(time.Since(began))
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return "", nil
		}
	}
	if each != nil {
		return "", fmt.Errorf("the walk did not end within %d pages", pages)
	}
	return req.PageToken, nil
}
