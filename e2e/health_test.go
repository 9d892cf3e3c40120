package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	logspostgres "github.com/keytrail/keytrail/logsvc/postgres"
)

// getOps requests a path of an ops port.
func getOps(ops, path string) (code int, body string, err error) {
	client := http.Client{Timeout: waitTimeout} // a process that hangs must not hold up the test
	resp, err := client.Get("http://" + ops + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// probe requests a path of the ops port of a server, which must respond.
func probe(t *testing.T, part *app.Server, path string) (code int, body string) {
	t.Helper()
	code, body, err := getOps(part.OpsAddr(), path)
	if err != nil {
		t.Fatal(err)
	}
	return code, body
}

// awaitHealth waits until the gRPC health of an address is want.
func awaitHealth(t *testing.T, addr string, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	health := grpc_health_v1.NewHealthClient(dial(t, addr))
	last := ""
	await(t, waitTimeout, func() bool {
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		last = fmt.Sprint(answer, err)
		return err == nil && answer.GetStatus() == want
	}, func() any { return last })
}

// expectReady waits until /readyz returns this code and text, and expects /healthz to return 200.
func expectReady(t *testing.T, part *app.Server, want int, says string) {
	t.Helper()
	code, text := 0, ""
	await(t, waitTimeout, func() bool {
		code, text = probe(t, part, "/readyz")
		return code == want && strings.Contains(text, says)
	}, func() any { return fmt.Sprintf("/readyz is %d %s, want %d with %q", code, text, want, says) })
	if code, _ := probe(t, part, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz is %d", code)
	}
}

func TestReadinessNeedsTheNextPartition(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t, nil)
	_, keyFile := newSigner(t)
	logs := logService(t, url, anyPort, keyFile)
	health := grpc_health_v1.NewHealthClient(dial(t, logs.LogsAddr()))
	awaitHealth(t, logs.LogsAddr(), grpc_health_v1.HealthCheckResponse_SERVING)
	expectReady(t, logs, http.StatusOK, `"partitions":"ok"`)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	// The service creates the partitions when it opens the store, and again soon after.
	await(t, waitTimeout, func() bool {
		for _, ahead := range []int{1, 2} { // in case midnight is near
			table := "keytrail_logs.request_logs_" + time.Now().UTC().AddDate(0, 0, ahead).Format("20060102")
			if _, err := conn.Exec(t.Context(), "DROP TABLE IF EXISTS "+table); err != nil {
				t.Fatal(err)
			}
		}
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		return err == nil && answer.GetStatus() == grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}, func() any { return "ready without the partition of tomorrow" })
	expectReady(t, logs, http.StatusServiceUnavailable, "no partition of to")
	if ready, ok := metric(logs.OpsAddr(), "keytrail_ready"); !ok || ready != 0 {
		t.Errorf("keytrail_ready is %v", ready)
	}
	// Another replica creates the partitions.
	store, err := logspostgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	expectReady(t, logs, http.StatusOK, `"partitions":"ok"`)
	awaitHealth(t, logs.LogsAddr(), grpc_health_v1.HealthCheckResponse_SERVING)
}

func TestLivenessDoesNotDependOnPostgres(t *testing.T) {
	t.Parallel()
	postgres := pgtest.Private(t)
	s, auth := replica(t, postgres.URL("postgres"), replicaOptions{maxStaleness: 2 * time.Second})
	logs := s.parts[0]
	if err := postgres.Down(pgserver.Immediate); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		server *app.Server
		addr   string
		says   string
	}{{auth, auth.AuthAddr(), "last knew every key"}, {logs, logs.LogsAddr(), "the store cannot be read"}} {
		awaitHealth(t, part.addr, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		expectReady(t, part.server, http.StatusServiceUnavailable, part.says)
	}
	// Only the metrics that need the database are missing.
	if _, exported := metric(logs.OpsAddr(), "keytrail_logs_partitions"); exported {
		t.Error("keytrail_logs_partitions is exported without a database")
	}
	if _, exported := metric(logs.OpsAddr(), "keytrail_logs_failed_batches_total"); !exported {
		t.Error("the other metrics are missing without a database")
	}
	expectReady(t, s.server, http.StatusOK, "ok") // the gateway does not depend on the readiness of the services
}
