package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/keytrail/keytrail/internal/access"
)

// process is a running `keytrail serve`.
type process struct {
	*system
	cmd     *exec.Cmd
	printed *output
	// The addresses that it printed.
	rest, auth, logs, health string
}

// built is the keytrail command, built once for each test run.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// binary builds the command once for all tests and returns its path.
func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "keytrail-e2e-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", built.dir, "..")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as in a release
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "keytrail")
}

// startProcess starts `keytrail serve` on free ports, with extra flags.
func startProcess(t *testing.T, dataDir string, flags ...string) *process {
	t.Helper()
	const free = "127.0.0.1:0"
	p := &process{system: &system{t: t, dataDir: dataDir}, printed: &output{}}
	command := binary(t) // the build must not count against the timeout of the process
	ctx, cancel := context.WithTimeout(t.Context(), 5*waitTimeout)
	t.Cleanup(cancel)
	p.cmd = exec.CommandContext(ctx, command, append([]string{"serve", "--data-dir", dataDir, "--log-level=debug",
		"--gateway-addr", free, "--auth-addr", free, "--logs-addr", free, "--ops-addr", free}, flags...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.printed, p.printed
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.await(func() bool { return strings.Contains(p.printed.String(), "/readyz") }, func() any { return p.printed.String() })
	for name, addr := range map[string]*string{"REST": &p.rest, "auth gRPC": &p.auth, "logs gRPC": &p.logs, "health": &p.health} {
		found := regexp.MustCompile(`(?m)^  ` + name + ` +(?:https?://)?([\d.:]+)`).FindStringSubmatch(p.printed.String())
		if found == nil {
			t.Fatalf("the process does not print the address of %s:\n%s", name, p.printed)
		}
		*addr = found[1]
	}
	p.await(func() bool { code, _ := p.ready(); return code == http.StatusOK }, func() any { return p.printed.String() })
	p.signer = readSigner(t, dataDir)
	return p
}

// ready requests /readyz. The code is 0 without a response.
func (p *process) ready() (code int, checks map[string]string) {
	code, text, err := getOps(p.health, "/readyz")
	if err != nil || json.Unmarshal([]byte(text), &checks) != nil {
		return 0, nil
	}
	return code, checks
}

func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// expectEnd waits for the process and expects exit code 0.
func (p *process) expectEnd() {
	p.t.Helper()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("after SIGTERM: %v\n%s", err, p.printed)
	}
}

// createKey creates a key with the command line and returns its secret.
func (p *process) createKey() string {
	p.t.Helper()
	code, secret, errs := p.command("keys", "create", "-w", "acme", "--name=k", "--scope=agent", "--all-agents", "--auth-addr="+p.auth)
	if code != 0 || !strings.HasPrefix(secret, "sk_") {
		p.t.Fatalf("create: %d %q", code, errs)
	}
	return strings.TrimSpace(secret)
}

func TestTheProcessShutsDownAndWritesNoSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir)
	secret := p.createKey()
	for _, apiKey := range []string{secret, secret + "x"} {
		p.command("check", "--api-key="+apiKey, "--endpoint=/v1?key="+secret, "--auth-addr="+p.auth)
	}
	p.terminate()
	p.expectEnd()
	if strings.Contains(p.printed.String(), secret) {
		t.Errorf("the process printed the secret:\n%s", p.printed)
	}
	if strings.Contains(p.printed.String(), tokenPrefix) {
		t.Errorf("the process printed a token, and not to a terminal:\n%s", p.printed)
	}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s holds the secret", path)
		}
		if tokenPattern.Match(content) {
			t.Errorf("%s holds a token", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestShutdownDoesNotWaitForStalledClients: docker stop kills after 10 s.
func TestShutdownDoesNotWaitForStalledClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir)
	watch, err := grpc_health_v1.NewHealthClient(dial(t, p.auth, p.credentials())).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	connect(t, p.logs, "")
	connect(t, p.rest, "POST /v1/check HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+p.token(access.Checker, "acme")+"\r\nContent-Length: 100\r\n\r\n{")
	code, answer, _ := p.command("check", "--api-key="+p.createKey(), "--endpoint=/last", "--auth-addr="+p.auth)
	id := strings.TrimSpace(strings.TrimPrefix(answer, "allowed"))
	if code != 0 || id == "" {
		t.Fatalf("check: %d %q", code, answer)
	}

	began := time.Now()
	p.terminate()
	p.await(func() bool { _, checks := p.ready(); return checks["process"] == "stopping" }, func() any { return p.printed.String() })
	p.expectEnd()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the process took %v to end", took)
	}
	if !strings.Contains(p.printed.String(), "requests in flight were cut off") {
		t.Errorf("no log line about the stalled client:\n%s", p.printed)
	}
	if status, answer := start(t, dir, time.Now).rest("GET", "/v1/workspaces/acme/request-logs/"+id, nil); status != http.StatusOK {
		t.Errorf("the row of the last check: %d %v", status, answer)
	}
}

// connect opens a connection, sends text and then stalls.
func connect(t *testing.T, addr, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// output collects what a process prints. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
