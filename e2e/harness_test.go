// Package e2e tests whole processes over gRPC, REST and the command line, with the production wiring and real
// databases.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

// TestMain sets the number of parallel tests: they mostly wait for rows to arrive. With more than 8 on two cores, all of them
// together take no less time, and single ones come near their timeouts. In a process that clock or startBackend started, it runs
// a service or a backend instead.
func TestMain(m *testing.M) {
	if file := os.Getenv(clockVariable); file != "" {
		fmt.Fprintln(os.Stderr, "e2e:", clock(file).serve(os.Args[1:]))
		os.Exit(1)
	}
	if os.Getenv(backendAuthVariable) != "" {
		if err := serveBackend(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			os.Exit(1)
		}
		return
	}
	// Set before flag.Parse, so that the command line can override it. Each check makes about 30 calls.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	// For every process that a test starts; its flag overrides it.
	if err := os.Setenv("KEYTRAIL_TRAIL_STALL_TIMEOUT", stallTimeout.String()); err != nil {
		panic(err)
	}
	pgtest.Main(m)
	if err := os.RemoveAll(built.dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
}

// waitTimeout is how long a test waits for a condition, on a slow machine with all other tests running.
const waitTimeout = time.Minute

// stallTimeout is --trail-stall-timeout in the tests. Others keep the disk busy meanwhile, and a row that is not recorded for that
// reason would count as lost.
const stallTimeout = 10 * time.Second

// system is a running Keytrail with clients of all its APIs.
type system struct {
	t      *testing.T
	server *app.Server
	// parts are all its servers.
	parts  []*app.Server
	checks authv1.CheckServiceClient
	keys   authv1.KeyServiceClient
	logs   logsv1.LogServiceClient
	// signer signs the tokens of the clients.
	signer *access.Signer
	// keyFile holds the signer's key, for a system on Postgres.
	keyFile string
	// dataDir is the data folder of a system on SQLite.
	dataDir string
	// client is for a gateway with TLS; nil for plaintext.
	client *http.Client
	// logged is the log of the process.
	logged *bytes.Buffer
	stop   func() error
}

// start runs all services in one process on free ports, like `keytrail serve`, until the end of the test.
func start(t *testing.T, dataDir string, now func() time.Time) *system {
	t.Helper()
	logged := &bytes.Buffer{}
	server, err := app.NewServer(t.Context(), serveConfig(dataDir), slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug})), now)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	s := &system{t: t, server: server, parts: []*app.Server{server}, signer: readSigner(t, dataDir), dataDir: dataDir, logged: logged, stop: run(t, server)}
	auth, logs := dial(t, server.AuthAddr(), s.credentials()), dial(t, server.LogsAddr(), s.credentials())
	s.checks, s.keys, s.logs = authv1.NewCheckServiceClient(auth), authv1.NewKeyServiceClient(auth), logsv1.NewLogServiceClient(logs)
	return s
}

// serveConfig returns the configuration of all services in one process, on free ports.
func serveConfig(dataDir string) app.ServeConfig {
	config := app.ServeConfig{
		DataDir: dataDir, GatewayAddr: anyPort, AuthAddr: anyPort, LogsAddr: anyPort, OpsAddr: anyPort,
		Retention: retention, AgentTypes: []string{"agent", "data_agent", "voice_agent"},
	}
	config.AgentPaths = []string{agentpath.DefaultTemplate}
	config.TrailFsync, config.TrailMaxBytes, config.TrailFull = 100*time.Millisecond, 64<<20, "allow"
	config.TrailStallTimeout = stallTimeout
	return config
}

// run runs a server until stop is called or the test ends.
func run(t testing.TB, server *app.Server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return stop
}

// dial returns a connection, in plaintext by default.
func dial(t testing.TB, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	// Killed processes restart at once, so the clients reconnect at once.
	again := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1, MaxDelay: 20 * time.Millisecond}, MinConnectTimeout: waitTimeout}
	conn, err := grpc.NewClient(addr, append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(again)}, options...)...)
	if err != nil {
		t.Fatalf("dial %s: %v", addr, err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// dialAll is dial for a connection that balances between services.
func dialAll(t testing.TB, addrs []string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	all, state := manual.NewBuilderWithScheme("all"), resolver.State{}
	for _, addr := range addrs {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: addr})
	}
	all.InitialState(state)
	balanced := grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`)
	return dial(t, "all:///", append(options, grpc.WithResolvers(all), balanced)...)
}

// object is a JSON object as a frontend sees it.
type object = map[string]any

// rest sends a request to the gateway with a token that permits it in all workspaces. A string body is sent as it is,
// any other as JSON.
func (s *system) rest(method, path string, body any) (status int, answer object) {
	s.t.Helper()
	return s.restAs(s.token(roleOfPath(path), access.AllWorkspaces), method, path, body)
}

// restAs is rest with a given token; empty for none.
func (s *system) restAs(token, method, path string, body any) (status int, answer object) {
	s.t.Helper()
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	base, client := "http://", http.DefaultClient
	if s.client != nil {
		base, client = "https://", s.client
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, base+s.server.GatewayAddr()+path, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := doREST(s.t, client, req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		s.t.Fatalf("%s %s: %d, not a JSON object: %v", method, path, resp.StatusCode, err)
	}
	return resp.StatusCode, answer
}

// doREST sends a request to the gateway and validates the response against the OpenAPI document.
func doREST(t testing.TB, client *http.Client, req *http.Request) (*http.Response, error) {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := readResponse(resp)
	if err != nil {
		return nil, err
	}
	validateREST(t, req.Method, req.URL.Path, resp.StatusCode, resp.Header, text)
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

// readResponse reads the body of a response; of a live stream, which does not end, its first line.
func readResponse(resp *http.Response) ([]byte, error) {
	if strings.HasSuffix(resp.Request.URL.Path, ":tail") && resp.StatusCode == http.StatusOK {
		return bufio.NewReader(resp.Body).ReadBytes('\n')
	}
	return io.ReadAll(resp.Body)
}

// ok is rest for a request that must succeed.
func (s *system) ok(method, path string, body any) object {
	s.t.Helper()
	status, answer := s.rest(method, path, body)
	if status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	return answer
}

// row waits for a request log for which want returns true.
func (s *system) row(workspace, id string, want func(object) bool) object {
	s.t.Helper()
	var last any
	row := object(nil)
	s.await(func() bool {
		status, answer := s.rest("GET", "/v1/workspaces/"+workspace+"/request-logs/"+id, nil)
		last = answer
		if status != http.StatusOK {
			return false
		}
		row = answer["requestLog"].(object)
		return want(row)
	}, func() any { return last })
	return row
}

// await polls until done returns true.
func (s *system) await(done func() bool, last func() any) {
	s.t.Helper()
	await(s.t, waitTimeout, done, last)
}

// await polls until done returns true, for at most timeout.
func await(t *testing.T, timeout time.Duration, done func() bool, last func() any) {
	t.Helper()
	deadline := time.After(timeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("timeout after %v; last state: %v", timeout, last())
		case <-tick.C:
		}
	}
}

// key is a key with its secret.
type key struct{ id, secret, last4 string }

// createKey creates a key over REST. The fields of draft override the defaults: scope agent, all agents.
func (s *system) createKey(workspace, name string, draft object) key {
	s.t.Helper()
	body := object{"name": name, "scopes": []string{"agent"}, "allAgents": true}
	for field, value := range draft {
		body[field] = value
	}
	answer := s.ok("POST", "/v1/workspaces/"+workspace+"/keys", body)
	made := answer["key"].(object)
	return key{id: made["id"].(string), secret: answer["secret"].(string), last4: made["last4"].(string)}
}

func (s *system) keyPath(workspace string, k key) string {
	return "/v1/workspaces/" + workspace + "/keys/" + k.id
}

// finished reports whether a row has a final status.
func finished(row object) bool { return row["status"].(float64) != 0 }

// reported reports whether a row has a report.
func reported(row object) bool { return row["latencyMs"] != nil }

// exists accepts any row.
func exists(object) bool { return true }
