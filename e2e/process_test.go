package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/keytrail/keytrail/cli"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

// command runs a command line on the machine of the system and returns its output.
func (s *system) command(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	if slices.Contains([]string{"keys", "logs", "check"}, args[0]) {
		args = append(slices.Clone(args), "--data-dir="+s.dataDir)
	}
	var out, errs bytes.Buffer
	code = cli.Main(s.t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	run := func(wantCode int, args ...string) string {
		t.Helper()
		addr := "--auth-addr=" + s.server.AuthAddr()
		if args[0] == "logs" {
			addr = "--logs-addr=" + s.server.LogsAddr()
		}
		code, out, errs := s.command(append(args, addr)...)
		if code != wantCode {
			t.Fatalf("keytrail %v: exit code %d, want %d\n%s%s", args, code, wantCode, out, errs)
		}
		return out
	}
	secret := strings.TrimSpace(run(0, "keys", "create", "-w", "acme", "--name=CI", "--scope=agent", "--agent=a1"))
	var listed struct{ Keys []struct{ ID, Name string } }
	if err := json.Unmarshal([]byte(run(0, "keys", "list", "-w", "acme", "-o", "json")), &listed); err != nil || len(listed.Keys) != 1 {
		t.Fatalf("keys list: %v %v", listed, err)
	}
	id := listed.Keys[0].ID
	check := func(wantCode int, secret string, args ...string) {
		t.Helper()
		run(wantCode, append([]string{"check", "--api-key=" + secret, "--agent=a1", "--endpoint=/v1/a1"}, args...)...)
	}
	check(0, secret, "--status=200", "--latency-ms=1.5")
	run(0, "keys", "disable", "-w", "acme", id)
	check(3, secret)
	run(0, "keys", "enable", "-w", "acme", id)
	run(0, "keys", "update", "-w", "acme", id, "--name=renamed", "--scope=data_agent", "--all-agents")
	check(3, secret)
	newSecret := strings.TrimSpace(run(0, "keys", "rotate", "-w", "acme", id, "--grace=0s"))
	check(0, newSecret, "--agent-type=data_agent")
	if out := run(0, "keys", "get", "-w", "acme", id); !strings.Contains(out, "renamed") || !strings.Contains(out, "data_agent") {
		t.Errorf("keys get:\n%s", out)
	}
	run(0, "keys", "delete", "-w", "acme", id)
	run(1, "keys", "get", "-w", "acme", id)
	var rows string
	s.await(func() bool {
		rows = run(0, "logs", "list", "-w", "acme", "--endpoint=/V1/")
		return strings.Count(rows, "\n") == 5
	}, func() any { return rows })
	for _, text := range []string{"200", "1.500 ms", "401 disabled", "403 scope_denied", "in progress", "CI …" + secret[len(secret)-4:], "renamed …"} {
		if !strings.Contains(rows, text) {
			t.Errorf("logs list does not show %q:\n%s", text, rows)
		}
	}
	run(0, "logs", "purge", "-w", "acme", "--yes")
	if out := run(0, "logs", "list", "-w", "acme"); strings.Count(out, "\n") != 1 {
		t.Errorf("after the purge:\n%s", out)
	}
	run(2, "keys", "create")
	if code, out, _ := s.command("version"); code != 0 || !strings.HasPrefix(out, "keytrail ") {
		t.Errorf("version: %d %q", code, out)
	}
}

func TestShutdownStoresAcknowledgedRows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, time.Now)
	k := s.createKey("acme", "k", nil)
	id := s.check(k, &authv1.CheckRequest{Endpoint: "/last"}).GetRequestLogId()
	if err := s.stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	again := start(t, dir, time.Now)
	if status, answer := again.rest("GET", "/v1/workspaces/acme/request-logs/"+id, nil); status != http.StatusOK {
		t.Errorf("the row of the last check: %d %v", status, answer)
	}
	if code := again.check(k, &authv1.CheckRequest{}).GetDenial().GetCode(); code != "" {
		t.Errorf("the key after a restart: %q", code)
	}
}

func TestHealthAndReflection(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	expectReady(t, s.server, http.StatusOK, "ok")
	for _, addr := range []string{s.server.AuthAddr(), s.server.LogsAddr()} {
		awaitHealth(t, addr, grpc_health_v1.HealthCheckResponse_SERVING)
		conn := dial(t, addr, s.credentials())
		stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		list := &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}
		if err := stream.Send(list); err != nil {
			t.Fatal(err)
		}
		if answer, err := stream.Recv(); err != nil || len(answer.GetListServicesResponse().GetService()) < 3 {
			t.Errorf("reflection of %s: %v %v", addr, answer, err)
		}
	}
}
