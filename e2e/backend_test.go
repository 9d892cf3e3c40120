package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	ktclient "github.com/keytrail/keytrail/client"
)

// The test binary runs a backend if these variables have the address of its auth service and its token.
const (
	backendAuthVariable  = "KEYTRAIL_E2E_BACKEND_AUTH"
	backendTokenVariable = "KEYTRAIL_E2E_BACKEND_TOKEN"
)

// serveBackend is a small backend, as a user of the package client writes it. It prints its address, and serves until SIGTERM.
// A call of …/stuck gets a status, and does not end before the process does.
func serveBackend() error {
	kt, err := ktclient.New(os.Getenv(backendAuthVariable), ktclient.WithToken(os.Getenv(backendTokenVariable)),
		ktclient.WithCheckTimeout(waitTimeout)) // the machine may be slow
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", anyPort)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: kt.HTTPMiddleware(http.HandlerFunc(handleCall))}
	stopping, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		<-stopping.Done()
		stopped <- server.Shutdown(context.Background())
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	return errors.Join(<-stopped, kt.Close(ctx))
}

func handleCall(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	if strings.HasSuffix(r.URL.Path, "/stuck") {
		w.(http.Flusher).Flush()
		select {} // until the process is killed
	}
}

// backend is a running backend.
type backend struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	secret string
}

// startBackend starts a backend of a system.
func startBackend(t *testing.T, s *system, secret string) *backend {
	t.Helper()
	b := &backend{t: t, secret: secret, cmd: exec.CommandContext(t.Context(), os.Args[0])}
	b.cmd.Env = append(os.Environ(), backendAuthVariable+"="+s.server.AuthAddr(), backendTokenVariable+"="+s.token("checker", "*"))
	b.cmd.Stderr = os.Stderr
	printed, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(printed).ReadString('\n')
	if err != nil {
		t.Fatalf("the backend printed %q: %v", addr, err)
	}
	b.url = "http://" + strings.TrimSpace(addr)
	return b
}

// call calls a path of the backend. It returns 0 if there is no response.
func (b *backend) call(path string) (status int) {
	return callURL(b.t, b.url+path, b.secret)
}

// callURL sends a call with an API key. It returns 0 if there is no response.
func callURL(t *testing.T, url, secret string) (status int) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	request.Header.Set("api-key", secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	t.Cleanup(func() { response.Body.Close() })
	return response.StatusCode
}

// loadCallers is how many callers a callLoad has.
const loadCallers = 8

// callLoad is a number of callers, each of which calls a path of its own again and again, until it is stopped or a call has no
// response.
type callLoad struct {
	t    *testing.T
	call func(path string) (status int)

	mu sync.Mutex
	// statuses are those of the calls that have a response, by path.
	statuses map[string]int
	stopped  bool
	running  sync.WaitGroup
}

func startCalls(t *testing.T, call func(path string) int) *callLoad {
	l := &callLoad{t: t, call: call, statuses: map[string]int{}}
	for caller := range loadCallers {
		l.running.Go(func() {
			for i := 0; l.next(fmt.Sprintf("/v1/agents/%d-%d", caller, i)); i++ {
			}
		})
	}
	return l
}

func (l *callLoad) next(path string) (more bool) {
	status := l.call(path)
	l.mu.Lock()
	defer l.mu.Unlock()
	if status != 0 {
		l.statuses[path] = status
	}
	return status != 0 && !l.stopped
}

// awaitCalls waits until n more calls have a response.
func (l *callLoad) awaitCalls(n int) {
	l.t.Helper()
	enough := l.count() + n
	await(l.t, waitTimeout, func() bool { return l.count() >= enough }, func() any { return l.count() })
}

func (l *callLoad) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.statuses)
}

// stop waits for the callers, and returns the statuses of the calls that have a response.
func (l *callLoad) stop() map[string]int {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.running.Wait()
	return l.statuses
}
