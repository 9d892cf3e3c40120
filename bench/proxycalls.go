package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// measure measures two things: calls that take a while, whose rows it reads, and the cost of the check for calls that take no
// time, with and without Keytrail in turn.
func (p *measuredProxy) measure(ctx context.Context, r report, calls int) error {
	if err := p.await(ctx); err != nil {
		return err
	}
	seen := map[string]time.Duration{}
	for n := range calls {
		path := fmt.Sprintf("/v1/agents/%s/slow/%d", p.name, n)
		took, err := p.call(ctx, p.Addr, path)
		if err != nil {
			return err
		}
		seen[path] = took
	}
	var with, without []time.Duration
	for range calls {
		took, err := p.call(ctx, p.Addr, p.quick())
		if err != nil {
			return err
		}
		with = append(with, took)
		if took, err = p.call(ctx, p.plain, p.quick()); err != nil {
			return err
		}
		without = append(without, took)
	}
	rows, err := p.rows(ctx, 2*calls+1)
	if err != nil {
		return err
	}
	p.print(r, seen, rows, with, without)
	return nil
}

// print prints medians.
func (p *measuredProxy) print(r report, seen, rows map[string]time.Duration, with, without []time.Duration) {
	var callers, logged, differences []time.Duration
	for path, took := range seen {
		callers, logged = append(callers, took), append(logged, rows[path])
		differences = append(differences, (took - rows[path]).Abs())
	}
	r.addTimes(p.name+"_caller", p.name+": what the caller saw, p50 / p99", callers, "")
	r.addTimes(p.name+"_row", p.name+": latency of the row, p50 / p99", logged, "")
	r.addTimes(p.name+"_difference", p.name+": difference of the two, p50 / p99", differences, "")
	r.addTimes(p.name+"_checked", p.name+": a call that takes no time, p50 / p99", with, "")
	r.addTimes(p.name+"_plain", p.name+": the same without Keytrail, p50 / p99", without, "")
	r.add(p.name+"_check_ms", p.name+": cost of the check, p50", "%.2f ms", ms(quantile(with, 0.5)-quantile(without, 0.5)), "")
}

// quick is the path of a call that takes no time.
func (p *measuredProxy) quick() string { return "/v1/agents/" + p.name + "/quick" }

// await waits until the proxy serves, and calls both of its servers once.
func (p *measuredProxy) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		_, err := p.call(ctx, p.plain, p.quick())
		if err == nil {
			_, err = p.call(ctx, p.Addr, p.quick())
			return err
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return err
		}
	}
}

// call makes a call, and returns how long it took its caller.
func (p *measuredProxy) call(ctx context.Context, addr, path string) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Api-Key", p.secret)
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	took := time.Since(began)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", path, resp.Status, body)
	}
	return took, err
}

// rows waits for up to a minute until a number of rows is reported, and returns the latencies by path.
func (p *measuredProxy) rows(ctx context.Context, wanted int) (map[string]time.Duration, error) {
	conn, err := connect(p.server.LogsAddr(), p.signer)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	logs := logsv1.NewLogServiceClient(conn)
	for {
		latencies, reported, token := map[string]time.Duration{}, 0, ""
		for more := true; more; more = token != "" {
			page, err := logs.ListRequestLogs(ctx, &request{WorkspaceId: "acme", PageSize: 1000, PageToken: token})
			if err != nil {
				return nil, err
			}
			token = page.GetNextPageToken()
			done := slices.DeleteFunc(page.GetRequestLogs(), func(row *logsv1.RequestLog) bool {
				return row.LatencyMs == nil || row.GetAgentId() != p.name
			})
			for _, row := range done {
				latencies[row.GetEndpoint()] = time.Duration(row.GetLatencyMs() * float64(time.Millisecond))
			}
			reported += len(done)
		}
		if reported == wanted {
			return latencies, nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("%d of %d rows are reported: %w", reported, wanted, err)
		}
	}
}
