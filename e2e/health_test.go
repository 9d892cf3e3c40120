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

// probe answers what a path of the ops port says.
func probe(t *testing.T, part *app.Server, path string) (code int, text string) {
	t.Helper()
	resp, err := http.Get("http://" + part.OpsAddr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// awaitHealth waits until the gRPC health of an address is as wanted.
func awaitHealth(t *testing.T, addr string, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	health := grpc_health_v1.NewHealthClient(dial(t, addr))
	last := ""
	await(t, patience, func() bool {
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		last = fmt.Sprint(answer, err)
		return err == nil && answer.GetStatus() == want
	}, func() any { return last })
}

// expectReady expects /readyz to answer with a code and a text, now or soon, and /healthz to be well all the while.
func expectReady(t *testing.T, part *app.Server, want int, says string) {
	t.Helper()
	code, text := 0, ""
	await(t, patience, func() bool {
		code, text = probe(t, part, "/readyz")
		return code == want && strings.Contains(text, says)
	}, func() any { return fmt.Sprintf("/readyz is %d %s, want %d with %q", code, text, want, says) })
	if code, _ := probe(t, part, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz is %d", code)
	}
}

func TestALogServiceWithoutTomorrowIsNotReady(t *testing.T) {
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
	// The service makes the days when it opens the store, and once more soon after.
	await(t, patience, func() bool {
		for _, ahead := range []int{1, 2} { // midnight may be near
			table := "keytrail_logs.request_logs_" + time.Now().UTC().AddDate(0, 0, ahead).Format("20060102")
			if _, err := conn.Exec(t.Context(), "DROP TABLE IF EXISTS "+table); err != nil {
				t.Fatal(err)
			}
		}
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		return err == nil && answer.GetStatus() == grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}, func() any { return "it is ready without tomorrow" })
	expectReady(t, logs, http.StatusServiceUnavailable, "no partition of to")
	if ready, ok := metric(logs.OpsAddr(), "keytrail_ready"); !ok || ready != 0 {
		t.Errorf("keytrail_ready is %v", ready)
	}
	// Another replica makes the days.
	store, err := logspostgres.Open(t.Context(), url, time.Now)
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
	// What is unknown is not told: the rest of the metrics is.
	if _, told := metric(logs.OpsAddr(), "keytrail_logs_partitions"); told {
		t.Error("the partitions are told while nobody can see them")
	}
	if _, told := metric(logs.OpsAddr(), "keytrail_logs_failed_batches_total"); !told {
		t.Error("the other metrics are gone with the database")
	}
	expectReady(t, s.server, http.StatusOK, "ok") // the gateway, whose neighbours they are
}
