package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/testing/flood"
)

const (
	// floodConnections and floodCalls are the load of callers without a token, and floodGrowth what it may cost in bytes.
	floodConnections, floodCalls = 16, 1000
	floodGrowth                  = 128 << 20
)

// floodMethods returns the RPCs of a service's port with the code that a call without a token gets.
func floodMethods(service string) map[string]codes.Code {
	methods := map[string]codes.Code{
		grpc_health_v1.Health_Check_FullMethodName:                              codes.OK,
		grpc_health_v1.Health_Watch_FullMethodName:                              codes.Unauthenticated,
		grpc_health_v1.Health_List_FullMethodName:                               codes.Unauthenticated,
		grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName: codes.Unauthenticated,
		"/keytrail.auth.v1.KeyService/Unknown":                                  codes.Unimplemented,
		"/unknown.Service/Unknown":                                              codes.Unimplemented,
	}
	for _, rpc := range rpcs() {
		name := string(rpc.Parent().FullName())
		if strings.HasPrefix(name, service) || service == "keytrail.auth." && slices.Contains(foreignServices, rpc.Parent().FullName()) {
			methods["/"+name+"/"+string(rpc.Name())] = codes.Unauthenticated
		}
	}
	return methods
}

// residentBytes returns the memory of a process.
func residentBytes(pid int) (int, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, resident int
	_, err = fmt.Sscan(string(statm), &size, &resident)
	return resident * os.Getpagesize(), err
}

// expectGrowth runs load and expects the process to have grown by less than floodGrowth meanwhile. It ends load if it grows
// far more.
func (p *process) expectGrowth(what string, before int, load func(ctx context.Context)) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*waitTimeout)
	defer cancel()
	most, ended := before, make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			if now, err := residentBytes(p.cmd.Process.Pid); err == nil {
				most = max(most, now)
			}
			if most-before > 8*floodGrowth {
				cancel()
			}
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	})
	load(ctx)
	close(ended)
	watching.Wait()
	p.t.Logf("%s: the process grew from %d MiB by %d MiB", what, before>>20, (most-before)>>20)
	if most-before >= floodGrowth {
		p.t.Errorf("%s: the process grew by %d MiB", what, (most-before)>>20)
	}
}

// flood makes calls of every method over many connections, and expects the code of each.
func (p *process) flood(ctx context.Context, addr string, methods map[string]codes.Code, shape flood.Call) {
	names := slices.Sorted(maps.Keys(methods))
	var calling sync.WaitGroup
	for range floodConnections {
		calling.Go(func() {
			ends, err := flood.Run(ctx, addr, flood.Load{Total: floodCalls, AtATime: floodCalls, Next: func(i int) flood.Call {
				call := shape
				call.Method = names[i%len(names)]
				return call
			}})
			if err != nil {
				p.t.Errorf("a connection without a token: %v", err)
			}
			for method, byCode := range ends {
				for code, n := range byCode {
					if code != methods[method] {
						p.t.Errorf("%d calls of %s ended with %v, want %v", n, method, code, methods[method])
					}
				}
			}
		})
	}
	calling.Wait()
}

// checksGoOn makes checks with a token until stop is called, which expects all of them to be allowed.
func (p *process) checksGoOn(secret string) (stop func()) {
	checks := authv1.NewCheckServiceClient(dial(p.t, p.auth, credentialsFrom(p.t, p.signer)))
	ctx, cancel := context.WithCancel(p.t.Context())
	made, failed := 0, error(nil)
	var calling sync.WaitGroup
	calling.Go(func() {
		for once := true; once || ctx.Err() == nil && failed == nil; once = false {
			answer, err := checks.Check(p.t.Context(), &authv1.CheckRequest{ApiKey: secret, AgentType: "agent", AgentId: "a"})
			if err != nil || !answer.GetAllowed() {
				failed = fmt.Errorf("%v %w", answer, err)
			}
			made++
		}
	})
	return func() {
		cancel()
		calling.Wait()
		if failed != nil || made == 0 {
			p.t.Errorf("a caller with a token, check %d: %v", made, failed)
		}
	}
}

// TestCallsWithoutATokenHoldNoMemory sends the largest requests to both services at once, with and without a bad token, whole
// and up to their last byte.
func TestCallsWithoutATokenHoldNoMemory(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), "--log-level=info")
	secret := p.createKey()
	p.checksGoOn(secret)()
	before, err := residentBytes(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := access.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	auth, logs := largestRequests(t, grpcserver.AuthMessageBytes), largestRequests(t, grpcserver.LogsMessageBytes)
	bad := "Bearer " + token(t, unknown, access.Admin, "acme")
	for name, shape := range map[string]func(of requests) flood.Call{
		"without the last byte": func(of requests) flood.Call { return flood.Call{Body: of.plain[:len(of.plain)-1], Stall: true} },
		"gzip":                  func(of requests) flood.Call { return flood.Call{Body: of.zipped, Gzip: true} },
		"a bad token":           func(of requests) flood.Call { return flood.Call{Body: of.plain, Authorization: bad} },
	} {
		stop := p.checksGoOn(secret)
		p.expectGrowth(name, before, func(ctx context.Context) {
			var both sync.WaitGroup
			both.Go(func() { p.flood(ctx, p.auth, floodMethods("keytrail.auth."), shape(auth)) })
			both.Go(func() { p.flood(ctx, p.logs, floodMethods("keytrail.logs."), shape(logs)) })
			both.Wait()
		})
		stop()
	}
}

// requests are the bodies of the largest requests of a service.
type requests struct{ plain, zipped []byte }

func largestRequests(t *testing.T, size int) requests {
	t.Helper()
	message, packed := make([]byte, size), bytes.Buffer{}
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write(message); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return requests{flood.Body(message, false), flood.Body(packed.Bytes(), true)}
}

// TestRequestsWithoutATokenHoldNoMemory opens many REST requests with the largest body, whose last byte is never sent.
func TestRequestsWithoutATokenHoldNoMemory(t *testing.T) {
	t.Parallel()
	const requests, bodyBytes, sent = 2000, 4 << 20, 64 << 10
	p := startProcess(t, t.TempDir(), "--log-level=info")
	secret := p.createKey()
	p.checksGoOn(secret)()
	before, err := residentBytes(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	head := func(i int) string {
		encoding := []string{"identity", "gzip"}[i%2]
		return fmt.Sprintf("POST /v1/check HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
			"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n", p.rest, encoding, bodyBytes)
	}
	stop := p.checksGoOn(secret)
	p.expectGrowth("REST", before, func(ctx context.Context) {
		var open []net.Conn
		for i := range requests {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.rest)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// The gateway may have refused the request already.
			_, _ = conn.Write(append([]byte(head(i)), make([]byte, sent)...))
			open = append(open, conn)
		}
		for _, conn := range open {
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("a request without a token: %v", err)
			}
			if response.Body.Close(); response.StatusCode != http.StatusUnauthorized {
				t.Fatalf("a request without a token: %s", response.Status)
			}
		}
	})
	stop()
}
