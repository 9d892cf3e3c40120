package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// resolveTo makes every name of this process that ends in .test resolve to addresses, until the end of the test. It must not
// run in parallel with other tests.
func resolveTo(t *testing.T, addresses ...[4]byte) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); serveDNS(conn, addresses) }()
	system := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = system
		conn.Close()
		<-ended
	})
}

// serveDNS returns the addresses for every name until conn is closed.
func serveDNS(conn net.PacketConn, addresses [][4]byte) {
	buffer := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Header.Response, m.Additionals = true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			for _, address := range addresses {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AResource{A: address},
				})
			}
		}
		if response, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(response, from) // the client repeats its query
		}
	}
}

// replicas starts n processes of a part at 127.0.0.1, 127.0.0.2 and so on, all on one port. addrFlag is the flag with the
// address.
func (s *cluster) replicas(n int, part, addrFlag string, flags ...string) (port string, processes []*exec.Cmd) {
	s.t.Helper()
	_, port, _ = net.SplitHostPort(stableAddr(s.t))
	for i := range n {
		ops := stableAddr(s.t)
		arguments := append([]string{
			part, addrFlag, fmt.Sprintf("127.0.0.%d:%s", i+1, port), "--ops-addr", ops,
			"--database-url", s.postgres.URL("postgres"), "--token-keys", s.keyFile,
		}, flags...)
		command := exec.CommandContext(s.t.Context(), binary(s.t), arguments...)
		command.Dir = s.t.TempDir() // of the trail
		printed := &output{}
		command.Stdout, command.Stderr = printed, printed
		if err := command.Start(); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() {
			_ = command.Process.Kill() // it may have ended
			_ = command.Wait()         // it was killed
		})
		await(s.t, waitTimeout, func() bool {
			code, _, err := getOps(ops, "/readyz")
			return err == nil && code == http.StatusOK
		}, func() any { return printed.String() })
		processes = append(processes, command)
	}
	return port, processes
}

// createKeyOnAll creates a key and waits until all replicas know it.
func (s *cluster) createKeyOnAll(port string, replicas int) *authv1.CreateKeyResponse {
	s.t.Helper()
	at := func(i int) *grpc.ClientConn {
		return dial(s.t, fmt.Sprintf("127.0.0.%d:%s", i+1, port), credentialsFrom(s.t, s.signer))
	}
	s.keys = authv1.NewKeyServiceClient(at(0))
	created := s.createKey("k")
	for i := range replicas {
		checks, last := authv1.NewCheckServiceClient(at(i)), any(nil)
		await(s.t, waitTimeout, func() bool {
			answer, err := checks.Check(s.t.Context(), &authv1.CheckRequest{ApiKey: created.GetSecret(), AgentType: "agent"})
			last = err
			return answer.GetAllowed()
		}, func() any { return last })
	}
	return created
}

// restLoad calls a gateway from several callers, one call after the other each, until its context ends.
type restLoad struct {
	gateway string
	secret  string
	keyID   string
	// tokens are for checks and for reads.
	checker, viewer string
	client          *http.Client
	// made counts the calls of each caller.
	made [8]atomic.Int64

	mu       sync.Mutex
	slowest  time.Duration
	failures []string
}

// call makes the call i of a caller. Most are checks.
func (l *restLoad) call(ctx context.Context, i int) error {
	method, path, token := http.MethodPost, "/v1/check", l.checker
	body := `{"apiKey": "` + l.secret + `", "agentType": "agent", "workspaceId": "acme"}`
	switch i % 8 {
	case 1:
		method, path, token, body = http.MethodGet, "/v1/workspaces/acme/keys/"+l.keyID, l.viewer, ""
	case 3:
		method, path, token, body = http.MethodGet, "/v1/workspaces/acme/keys", l.viewer, ""
	case 5:
		method, path, token, body = http.MethodGet, "/v1/workspaces/acme/request-logs", l.viewer, ""
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+l.gateway+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	began := time.Now()
	response, err := l.client.Do(request)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	response.Body.Close()
	if took := time.Since(began); ctx.Err() == nil {
		l.mu.Lock()
		l.slowest = max(l.slowest, took)
		l.mu.Unlock()
	}
	if response.StatusCode != http.StatusOK || strings.HasSuffix(path, "/check") && !bytes.Contains(text, []byte(`"allowed":true`)) {
		return fmt.Errorf("%s %s: %d %s %w", method, path, response.StatusCode, text, err)
	}
	return err
}

func (l *restLoad) run(ctx context.Context) {
	var calling sync.WaitGroup
	for caller := range l.made {
		calling.Go(func() {
			for i := caller; ctx.Err() == nil; i++ {
				if err := l.call(ctx, i); err != nil && ctx.Err() == nil {
					l.mu.Lock()
					l.failures = append(l.failures, err.Error())
					l.mu.Unlock()
				}
				l.made[caller].Add(1)
			}
		})
	}
	calling.Wait()
}

// awaitCalls waits until each caller has made more calls, and returns how many all have made.
func (l *restLoad) awaitCalls(t *testing.T, more int64) (all int64) {
	t.Helper()
	var before, now [len(l.made)]int64
	for caller := range l.made {
		before[caller] = l.made[caller].Load()
	}
	await(t, waitTimeout, func() bool {
		all = 0
		least := more
		for caller := range l.made {
			now[caller] = l.made[caller].Load() - before[caller]
			all, least = all+now[caller], min(least, now[caller])
		}
		return least >= more
	}, func() any { return fmt.Sprint("calls of each caller: ", now) })
	return all
}

// TestCallsPassWhileAReplicaIsPaused stops one of three services of each kind with SIGSTOP: its connections stay open, and it
// responds to nothing.
func TestCallsPassWhileAReplicaIsPaused(t *testing.T) {
	s := newCluster(t)
	logsPort, logs := s.replicas(3, "logsvc", "--logs-addr")
	authPort, auth := s.replicas(3, "authsvc", "--auth-addr", "--logs-addr", "127.0.0.1:"+logsPort, "--signing-key", s.keyFile)
	resolveTo(t, [4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 2}, [4]byte{127, 0, 0, 3})
	config := app.GatewayConfig{
		GatewayAddr: anyPort, AuthAddr: "authsvc.test.:" + authPort, LogsAddr: "logsvc.test.:" + logsPort, OpsAddr: anyPort,
	}
	config.TokenKeys, config.Insecure = []string{s.keyFile}, true
	gateway, err := app.NewGatewayServer(t.Context(), config, quiet)
	runServer(t, gateway, err)
	made := s.createKeyOnAll(authPort, len(auth))
	load := &restLoad{
		gateway: gateway.GatewayAddr(), secret: made.GetSecret(), keyID: made.GetKey().GetId(),
		client:  &http.Client{Timeout: 2 * waitTimeout},
		checker: token(t, s.signer, access.Checker, access.AllWorkspaces),
		viewer:  token(t, s.signer, access.Viewer, access.AllWorkspaces),
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { load.run(ctx) })
	signal := func(signal syscall.Signal) {
		for _, process := range []*exec.Cmd{auth[1], logs[1]} {
			if err := process.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
		}
	}
	load.awaitCalls(t, 50)
	signal(syscall.SIGSTOP)
	during := load.awaitCalls(t, 200)
	signal(syscall.SIGCONT)
	load.awaitCalls(t, 50)
	cancel()
	running.Wait()
	t.Logf("%d calls while a replica was paused; the slowest took %v", during, load.slowest)
	for _, failure := range slices.Compact(load.failures) {
		t.Error(failure)
	}
}
