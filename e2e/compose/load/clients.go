package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// retries is the service config of a typical backend: round robin, with retries of UNAVAILABLE.
const retries = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 3, "retryableStatusCodes": ["UNAVAILABLE"]
	}}]
}`

// workspace is the workspace of all calls.
const workspace = "load"

// restTime is how long a REST client retries while the gateway is unavailable.
const restTime = 30 * time.Second

// rest has a short dial timeout, so that post retries when the gateway was replaced and its old address is silent.
var rest = &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext}}

// clients are the clients of a backend.
type clients struct {
	checks         authv1.CheckServiceClient
	keys           authv1.KeyServiceClient
	logs           logsv1.LogServiceClient
	gateway        string
	admin, checker string
}

func connect() (*clients, error) {
	auth, err := dial(os.Getenv("AUTH_ADDR"))
	if err != nil {
		return nil, err
	}
	logs, err := dial(os.Getenv("LOGS_ADDR"))
	if err != nil {
		return nil, err
	}
	return &clients{
		checks: authv1.NewCheckServiceClient(auth), keys: authv1.NewKeyServiceClient(auth), logs: logsv1.NewLogServiceClient(logs),
		gateway: os.Getenv("GATEWAY_URL"), admin: os.Getenv("ADMIN_TOKEN"), checker: os.Getenv("CHECKER_TOKEN"),
	}, nil
}

// dial connects to all replicas of a DNS name.
func dial(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient("dns:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(retries), grpc.WithDisableServiceConfig())
}

// with returns a context for calls with a token.
func with(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

func (c *clients) createKey(ctx context.Context) (secret string, err error) {
	answer, err := c.keys.CreateKey(with(ctx, c.admin), &authv1.CreateKeyRequest{
		WorkspaceId: workspace, Key: &authv1.Key{Name: "load", Scopes: []string{"agent"}, AllAgents: true},
	}, grpc.WaitForReady(true))
	if err != nil {
		return "", err
	}
	// Every replica knows the key within a second.
	return answer.GetSecret(), pause(ctx, 2*time.Second)
}

// overGRPC checks and reports one call. Retries of gRPC have the same call id.
func (c *clients) overGRPC(ctx context.Context, secret string, one call) error {
	ctx, cancel := context.WithTimeout(with(ctx, c.checker), restTime)
	defer cancel()
	answer, err := c.checks.Check(ctx, &authv1.CheckRequest{
		ApiKey: secret, AgentType: one.agentType, Method: "POST", Endpoint: one.endpoint, WorkspaceId: workspace, CallId: one.id,
	})
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if err := one.checkDecision(answer.GetRequestLogId(), answer.GetAllowed(), answer.GetDenial().GetCode()); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	outcome := &authv1.Outcome{ReportToken: answer.GetReportToken(), Status: one.status, LatencyMs: new(one.latencyMs)}
	report, err := c.checks.Report(ctx, &authv1.ReportRequest{Outcomes: []*authv1.Outcome{outcome}})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if refused := report.GetRefused(); len(refused) > 0 {
		return fmt.Errorf("report: refused, %v", refused)
	}
	return nil
}

// overREST is overGRPC through the gateway.
func (c *clients) overREST(ctx context.Context, secret string, one call) error {
	var answer struct {
		Allowed      bool
		RequestLogID string
		ReportToken  string
		Denial       *struct{ Code string }
	}
	err := c.post(ctx, "/v1/check", map[string]any{
		"apiKey": secret, "agentType": one.agentType, "method": "POST", "endpoint": one.endpoint, "workspaceId": workspace, "callId": one.id,
	}, &answer)
	if err != nil {
		return fmt.Errorf("check over REST: %w", err)
	}
	var code string
	if answer.Denial != nil {
		code = answer.Denial.Code
	}
	if err := one.checkDecision(answer.RequestLogID, answer.Allowed, code); err != nil {
		return fmt.Errorf("check over REST: %w", err)
	}
	outcome := map[string]any{"reportToken": answer.ReportToken, "status": one.status, "latencyMs": one.latencyMs}
	var report struct{ Refused []json.RawMessage }
	if err := c.post(ctx, "/v1/report", map[string]any{"outcomes": []any{outcome}}, &report); err != nil {
		return fmt.Errorf("report over REST: %w", err)
	}
	if len(report.Refused) > 0 {
		return fmt.Errorf("report over REST: refused, %s", report.Refused)
	}
	return nil
}

// post retries while the gateway is unavailable, because there is only one.
func (c *clients) post(ctx context.Context, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(restTime)
	for {
		code, err := c.postOnce(ctx, path, text, answer)
		unavailable := err != nil && code == 0 || code == http.StatusBadGateway || code == http.StatusServiceUnavailable
		if !unavailable || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c *clients) postOnce(ctx context.Context, path string, body []byte, answer any) (code int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.gateway+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.checker)
	req.Header.Set("Content-Type", "application/json")
	resp, err := rest.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, fmt.Errorf("HTTP %d: %.200s", resp.StatusCode, text)
	}
	return resp.StatusCode, json.Unmarshal(text, answer)
}

// rows lists all rows of endpoints with a prefix, by endpoint.
func (c *clients) rows(ctx context.Context, prefix string) (map[string][]row, error) {
	rows, token := map[string][]row{}, ""
	for more := true; more; more = token != "" {
		page, err := c.logs.ListRequestLogs(with(ctx, c.admin), &logsv1.ListRequestLogsRequest{
			WorkspaceId: workspace, Endpoint: prefix, PageSize: 1000, PageToken: token,
		})
		if err != nil {
			return nil, err
		}
		for _, log := range page.GetRequestLogs() {
			rows[log.GetEndpoint()] = append(rows[log.GetEndpoint()], row{
				id: log.GetId(), status: log.GetStatus(), code: log.GetErrorCode(), latencyMs: log.GetLatencyMs(), calls: log.GetCallCount(),
			})
		}
		token = page.GetNextPageToken()
	}
	return rows, nil
}
