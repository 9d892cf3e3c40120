package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/proxytest"
)

// front is a reverse proxy in front of a service, with Keytrail behind its calls.
type front struct {
	*system
	proxytest.Proxy
	service *service
	// parse reads a line of the access log.
	parse func(line []byte) (proxytest.Line, error)
}

// newFront starts Keytrail and a service. The proxy is not yet running.
func newFront(t *testing.T) *front {
	t.Helper()
	s := start(t, t.TempDir(), time.Now)
	behind, dir := newService(t), shortDir(t)
	return &front{system: s, service: behind, Proxy: proxytest.Proxy{
		Docs: filepath.Join("..", "docs", "integrations"), Dir: dir, Log: filepath.Join(dir, "access.log"),
		Token: s.token(access.Checker, "acme"), Addr: stableAddr(t), Gateway: s.server.GatewayAddr(),
		Service: behind.Listener.Addr().String(),
	}}
}

// shortDir returns a folder whose path is short enough for a Unix socket, wherever TMPDIR is.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "keytrail-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// slowPause is how long a call takes whose path ends with slow.
const slowPause = 150 * time.Millisecond

// service is the service behind the proxy. It keeps the headers of every call by path, and does what the path ends with.
type service struct {
	*httptest.Server
	mu    sync.Mutex
	calls map[string][]http.Header
	// arrived has the paths of calls that hang.
	arrived chan string
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{calls: map[string][]http.Header{}, arrived: make(chan string, 10)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.calls[r.URL.Path] = append(s.calls[r.URL.Path], r.Header)
	s.mu.Unlock()
	switch path.Base(r.URL.Path) {
	case "fails":
		http.Error(w, "no", http.StatusInternalServerError)
	case "slow":
		pause(r.Context(), slowPause)
	case "hangs":
		s.arrived <- r.URL.Path
		<-r.Context().Done()
	case "breaks":
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(body))
}

// headers returns the headers of the calls of a path.
func (s *service) headers(path string) []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

// run runs a command until the end of the test, and expects that it exits with 0 after SIGTERM, unless the test has waited for
// it.
func (f *front) run(cmd *exec.Cmd) {
	f.t.Helper()
	printed := &output{}
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		f.t.Fatalf("%v (.ci/run installs what the tests need)", err)
	}
	f.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			f.end(cmd)
		}
		if f.t.Failed() {
			f.t.Logf("%s printed:\n%s", cmd.Path, printed)
		}
	})
}

// end ends a process.
func (f *front) end(cmd *exec.Cmd) {
	f.t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		f.t.Errorf("end %s: %v", cmd.Path, err)
	}
	kill := time.AfterFunc(waitTimeout, func() { _ = cmd.Process.Kill() }) // it fails if the process has ended
	defer kill.Stop()
	if err := cmd.Wait(); err != nil {
		f.t.Errorf("%s: %v", cmd.Path, err)
	}
}

// awaitProxy waits until the proxy accepts connections.
func (f *front) awaitProxy() {
	f.t.Helper()
	f.await(func() bool {
		conn, err := net.Dial("tcp", f.Addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, func() any { return f.Addr })
}

// report starts `keytrail report-access-log`.
func (f *front) report(flags ...string) *exec.Cmd {
	f.t.Helper()
	args := append([]string{"report-access-log", "--auth-addr", f.server.AuthAddr()}, flags...)
	cmd := exec.Command(binary(f.t), args...)
	cmd.Env = append(os.Environ(), "KEYTRAIL_TOKEN="+f.Token)
	f.run(cmd)
	return cmd
}

// lines reads the access log and returns its lines with a report token, by path.
func (f *front) lines() map[string][]proxytest.Line {
	f.t.Helper()
	files, err := filepath.Glob(filepath.Join(f.Dir, "access*.log*"))
	must(f.t, err)
	found := map[string][]proxytest.Line{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(f.t, err)
		for line := range strings.Lines(string(text)) {
			parsed, err := f.parse([]byte(line))
			if err != nil {
				f.t.Fatalf("the line %q: %v", line, err)
			}
			if parsed.Token != "" {
				found[parsed.Path] = append(found[parsed.Path], parsed)
			}
		}
	}
	return found
}

// send sends a call through the proxy. The path is sent as it is.
func (f *front) send(ctx context.Context, c frontCall) (status int, header http.Header, text string, err error) {
	method, body := cmp.Or(c.method, http.MethodGet), strings.NewReader(c.body)
	req, err := http.NewRequestWithContext(ctx, method, "http://"+f.Addr+c.path, body)
	if err != nil {
		return 0, nil, "", err
	}
	req.Header = c.header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	received, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(received), err
}

// refusalOf returns the error code of a refusal's body.
func refusalOf(t *testing.T, body string) string {
	t.Helper()
	var parsed struct {
		Error struct{ Code, Message, Fix string }
	}
	if err := json.Unmarshal([]byte(body), &parsed); err != nil || parsed.Error.Message == "" || parsed.Error.Fix == "" {
		t.Errorf("the body is not a refusal: %q", body)
	}
	return parsed.Error.Code
}
