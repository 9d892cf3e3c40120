package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// maxSeries limits the series of a process. Each costs Prometheus some kilobytes for every replica.
const maxSeries = 1000

// seriesOf returns the names and labels of all series of a process, sorted.
func seriesOf(t *testing.T, part *app.Server) (series []string) {
	t.Helper()
	code, text := probe(t, part, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics: %d", code)
	}
	for line := range strings.Lines(text) {
		if end := strings.LastIndexByte(line, ' '); end > 0 && line[0] != '#' {
			series = append(series, line[:end])
		}
	}
	slices.Sort(series)
	return series
}

// traffic is what one workspace sends. All values can be recognized.
type traffic struct{ workspace, keyName, agent, endpoint string }

func trafficOf(name string) traffic {
	return traffic{name, name + " key", name + "-agent", "/v1/" + name + "/run"}
}

// generate calls every RPC and route, with and without success. It returns the values that no metric may contain.
func (s *system) generate(of traffic) (forbidden []string) {
	s.t.Helper()
	k := s.createKey(of.workspace, of.keyName, object{"allAgents": false, "agentIds": []string{of.agent}})
	for _, secret := range []string{k.secret, "", "sk_" + of.workspace} {
		for _, agentType := range []string{"agent", "voice_agent"} {
			call := object{"apiKey": secret, "agentType": agentType, "agentId": of.agent, "endpoint": of.endpoint, "workspaceId": of.workspace}
			s.ok("POST", "/v1/check", call)
		}
	}
	answer, err := s.checks.Check(s.t.Context(), &authv1.CheckRequest{ApiKey: k.secret, AgentType: "agent", AgentId: of.agent, Method: of.workspace, Endpoint: of.endpoint})
	if err != nil {
		s.t.Fatal(err)
	}
	report := &authv1.ReportRequest{Outcomes: []*authv1.Outcome{{ReportToken: answer.GetReportToken(), Status: 200, LatencyMs: new(float64(3))}}}
	if _, err := s.checks.Report(s.t.Context(), report); err != nil {
		s.t.Fatal(err)
	}
	logs := "/v1/workspaces/" + of.workspace + "/request-logs"
	s.row(of.workspace, answer.GetRequestLogId(), finished)
	for _, call := range [][2]string{
		{"GET", s.keyPath(of.workspace, k)}, {"GET", "/v1/workspaces/" + of.workspace + "/keys"}, {"PATCH", s.keyPath(of.workspace, k)},
		{"POST", s.keyPath(of.workspace, k) + ":rotate"}, {"GET", logs + "?endpoint=" + of.endpoint}, {"GET", logs + "/" + k.id},
		{"GET", "/" + of.workspace}, {"PUT", "/v1/check"}, {"POST", logs + ":purge"}, {"DELETE", s.keyPath(of.workspace, k)}, {of.workspace, "/v1/check"},
	} {
		body := any(nil)
		if call[0] == "PATCH" {
			body = object{"disabled": true}
		}
		s.rest(call[0], call[1], body)
		s.restAs("not."+of.workspace+".token", call[0], call[1], body)
	}
	if _, err := s.logs.RecordRequestLogs(s.t.Context(), &logsv1.RecordRequestLogsRequest{Records: []*logsv1.RequestLogRecord{{RequestLog: &logsv1.RequestLog{Id: of.workspace}}}}); err != nil {
		s.t.Fatal(err)
	}
	return []string{of.workspace, k.id, k.secret, answer.GetRequestLogId(), s.token(access.Viewer, of.workspace)}
}

func TestRequestsAddNoSeries(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *system{
		"one process": func(t *testing.T) *system { return start(t, t.TempDir(), time.Now) },
		"parts": func(t *testing.T) *system {
			s, _ := replica(t, pgtest.Database(t, nil), replicaOptions{})
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			// A REST request is counted after its response. The second call of generate ensures that the requests of
			// the first are counted.
			forbidden := append(s.generate(trafficOf("zebra")), s.generate(trafficOf("beaver"))...)
			before := make([][]string, len(s.parts))
			for i, part := range s.parts {
				before[i] = seriesOf(t, part)
			}
			for _, name := range []string{"giraffe", "ocelot", "walrus", "lemming"} {
				forbidden = append(forbidden, s.generate(trafficOf(name))...)
			}
			for i, part := range s.parts {
				after := seriesOf(t, part)
				if len(after) > maxSeries {
					t.Errorf("part %d has %d series of at most %d", i, len(after), maxSeries)
				}
				for _, series := range after {
					if _, known := slices.BinarySearch(before[i], series); !known {
						t.Errorf("part %d has a new series: %s", i, series)
					}
					for _, secret := range forbidden {
						if strings.Contains(series, secret) {
							t.Errorf("part %d exports %q: %s", i, secret, series)
						}
					}
				}
			}
		})
	}
}

func TestMetricsCountCalls(t *testing.T) {
	t.Parallel()
	s, _ := replica(t, pgtest.Database(t, nil), replicaOptions{})
	s.generate(trafficOf("acme"))
	logs, auth, gateway := s.parts[0].OpsAddr(), s.parts[1].OpsAddr(), s.parts[2].OpsAddr()
	awaitShipped(t, auth)
	// A call without a token is counted by the server that refuses it.
	if _, err := authv1.NewCheckServiceClient(dial(t, s.parts[1].AuthAddr())).Check(t.Context(), &authv1.CheckRequest{AgentType: "agent"}); status.Code(err) != codes.Unauthenticated {
		t.Fatalf("without a token: %v", err)
	}
	if code, _ := s.restAs("", "POST", "/v1/check", object{"agentType": "agent"}); code != http.StatusUnauthorized {
		t.Fatalf("without a token: HTTP %d", code)
	}
	unknown := proxiedCall{"GET", "/unknown", nil}
	exchange(t, s.server.GatewayAddr(), nginxMessage("", "?workspace_id=acme", s.token(access.Checker, "acme"), unknown))
	for _, tt := range []struct {
		ops, name string
		want      float64
	}{
		{auth, `grpc_server_handled_total{grpc_code="Unauthenticated",grpc_method="Check",grpc_service="keytrail.auth.v1.CheckService",grpc_type="unary"}`, 1},
		{gateway, `grpc_server_handled_total{grpc_code="Unauthenticated",grpc_method="Check",grpc_service="keytrail.auth.v1.CheckService",grpc_type="unary"}`, 1},
		{auth, `keytrail_checks_total{result="allowed"}`, 2},
		{auth, `keytrail_checks_total{result="scope_denied"}`, 1},
		{auth, `keytrail_checks_total{result="missing_token"}`, 2},
		{auth, `keytrail_checks_total{result="invalid_token"}`, 2},
		{auth, `grpc_server_handled_total{grpc_code="OK",grpc_method="Check",grpc_service="keytrail.auth.v1.CheckService",grpc_type="unary"}`, 7},
		{auth, `keytrail_keyring_keys`, 0},
		{auth, `keytrail_keyring_revision`, 4},
		{auth, `keytrail_pool_max_connections{pool="keys"}`, 10},
		{auth, `keytrail_ready`, 1},
		{logs, `keytrail_logs_refused_rows_total{reason="malformed"}`, 1},
		{logs, `keytrail_logs_failed_batches_total`, 0},
		{logs, `keytrail_logs_unconfirmed_expired_days`, 0},
		{logs, `keytrail_logs_partition_present{day="today"}`, 1},
		{logs, `keytrail_logs_partition_present{day="tomorrow"}`, 1},
		{logs, `keytrail_logs_partitions`, 4},
		{logs, `keytrail_pool_max_connections{pool="logs_write"}`, 10},
		{logs, `keytrail_pool_max_connections{pool="logs_read"}`, 10},
		{gateway, `keytrail_http_requests_total{class="2xx",route="POST /v1/check"}`, 6},
		{gateway, `keytrail_http_requests_total{class="4xx",route="GET /v1/forward-auth"}`, 1},
		{gateway, `keytrail_http_requests_total{class="4xx",route="POST /v1/workspaces/{workspace_id=*}/keys/{key_id=*}:rotate"}`, 1},
	} {
		got, exported := 0.0, false
		s.await(func() bool {
			got, exported = metric(tt.ops, tt.name)
			return exported && got == tt.want
		}, func() any { return fmt.Sprintf("%s is %v (exported: %v), want %v", tt.name, got, exported, tt.want) })
	}
	at := 0.0
	s.await(func() bool {
		at, _ = metric(logs, "keytrail_logs_expire_success_timestamp_seconds")
		return time.Since(time.Unix(int64(at), 0)) < time.Hour
	}, func() any { return fmt.Sprint("last expiry of old rows at ", at) })
	if rows, _ := metric(logs, "keytrail_logs_batch_rows_sum"); rows < 7 {
		t.Errorf("%v rows are counted", rows)
	}
}
