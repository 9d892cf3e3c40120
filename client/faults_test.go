package client_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/client"
	"github.com/keytrail/keytrail/client/keytrailtest"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

// faultyAuth is an auth service that fails as a test wants. It keeps the ids and tokens of the checks that it gets.
type faultyAuth struct {
	authv1.UnimplementedCheckServiceServer
	check func(ctx context.Context, n int) error

	mu     sync.Mutex
	ids    []string
	tokens []string
}

func (f *faultyAuth) Check(ctx context.Context, request *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	f.mu.Lock()
	f.ids = append(f.ids, request.GetCallId())
	f.tokens = append(f.tokens, metadata.ValueFromIncomingContext(ctx, "authorization")...)
	n := len(f.ids)
	f.mu.Unlock()
	if err := f.check(ctx, n); err != nil {
		return nil, err
	}
	return &authv1.CheckResponse{Allowed: true, HttpStatus: 200}, nil
}

// serveAuth serves an auth service until the end of the test.
func serveAuth(t testing.TB, auth authv1.CheckServiceServer, options ...grpc.ServerOption) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	authv1.RegisterCheckServiceServer(server, auth)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// newClient returns a client of an auth service. Its checks may take longer than by default: the machine may be slow.
func newClient(t testing.TB, addr string, options ...client.Option) *client.Client {
	t.Helper()
	kt, err := client.New(addr, append([]client.Option{client.WithCheckTimeout(time.Minute)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kt.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return kt
}

// call sends one request through the middleware, and reports whether the handler was called.
func call(kt *client.Client, path string) (response *httptest.ResponseRecorder, served bool) {
	response = httptest.NewRecorder()
	kt.HTTPMiddleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, known := client.IdentityFromContext(r.Context())
		served = !known // a call that was not checked has no identity
	})).ServeHTTP(response, httptest.NewRequest(http.MethodGet, path, nil))
	return response, served
}

// unusedAddr refuses connections.
const unusedAddr = "127.0.0.1:1"

func TestWithoutTheAuthServiceCallsAreRefused(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	kt := newClient(t, unusedAddr, client.WithToken("secret-token"), client.WithLogger(log))
	for range 2 {
		response, served := call(kt, "/v1/agents/a1")
		if served || response.Code != http.StatusServiceUnavailable || !strings.Contains(response.Body.String(), `"unavailable"`) {
			t.Errorf("served %t, %d %s", served, response.Code, response.Body)
		}
	}
	if stats := kt.Stats(); stats.Refused != 2 || stats.Unchecked != 0 {
		t.Errorf("stats %+v", stats)
	}
	text := logged.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "was refused") || strings.Contains(text, "secret-token") {
		t.Errorf("the log is %s", text)
	}
}

func TestFailOpenServesCallsWithoutTheAuthService(t *testing.T) {
	t.Parallel()
	kt := newClient(t, unusedAddr, client.WithFailOpen())
	if response, served := call(kt, "/v1/agents/a1"); !served || response.Code != http.StatusOK {
		t.Errorf("served %t, %d %s", served, response.Code, response.Body)
	}
	if stats := kt.Stats(); stats.Refused != 0 || stats.Unchecked != 1 {
		t.Errorf("stats %+v", stats)
	}
}

// TestFailOpenServesNoCallThatMakesItsCheckFail: otherwise its caller would need no key.
func TestFailOpenServesNoCallThatMakesItsCheckFail(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	kt := keytrail.Client(client.WithFailOpen())
	long := strings.Repeat("x", 2<<20)
	for path, status := range map[string]int{
		"/v1/agents/" + long[:5<<10]: 403, "/v1/agents/a1?" + long: 401, "/v1/agents/a1/" + long: 401,
		"/v1/" + long[:100] + "s/a1": 403, "/v1/agents/%01": 403,
	} {
		if response, served := call(kt, path); served || response.Code != status {
			t.Errorf("%.20s…: served %t, %d, want %d", path, served, response.Code, status)
		}
	}
	method, response := httptest.NewRequest(long, "/v1/agents/a1", nil), httptest.NewRecorder()
	if kt.HTTPMiddleware(http.NotFoundHandler()).ServeHTTP(response, method); response.Code != http.StatusUnauthorized {
		t.Errorf("a long method: %d", response.Code)
	}
	untrusted := keytrail.Client(client.WithFailOpen(), client.WithToken("not a token"))
	if response, served := call(untrusted, "/v1/agents/a1"); served || response.Code != http.StatusServiceUnavailable {
		t.Errorf("with a wrong token: served %t, %d", served, response.Code)
	}
}

// TestWorkspaceThatTheTokenDoesNotHoldFor: a caller who names it in the path gets no error of the server.
func TestWorkspaceThatTheTokenDoesNotHoldFor(t *testing.T) {
	t.Parallel()
	forbidden, err := status.New(codes.PermissionDenied, "x").WithDetails(&errdetails.ErrorInfo{
		Reason: fault.WorkspaceForbidden.String(), Metadata: map[string]string{"field": "workspace_id"},
	})
	if err != nil {
		t.Fatal(err)
	}
	addr := serveAuth(t, &faultyAuth{check: func(context.Context, int) error { return forbidden.Err() }})
	byPath, acme := client.WithAgentPaths("agent=/{workspace_id}/{agent_id}"), client.WithWorkspace("acme")
	for name, tt := range map[string]struct {
		options []client.Option
		path    string
		status  int
	}{
		"of the path":                {[]client.Option{byPath}, "/acme/a1", 403},
		"of the client":              {[]client.Option{acme}, "/v1/agents/a1", 503},
		"of the client and the path": {[]client.Option{byPath, acme}, "/acme/a1", 503},
		"none":                       {nil, "/v1/agents/a1", 503},
	} {
		if response, served := call(newClient(t, addr, tt.options...), tt.path); served || response.Code != tt.status {
			t.Errorf("%s: served %t, %d, want %d", name, served, response.Code, tt.status)
		}
	}
}

func TestCheckIsRepeatedWithItsCallID(t *testing.T) {
	t.Parallel()
	auth := &faultyAuth{check: func(ctx context.Context, n int) error {
		switch n {
		case 1, 2:
			return status.Error(codes.Unavailable, "x")
		case 3: // a replica that is paused
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	kt := newClient(t, serveAuth(t, auth), client.WithCheckTimeout(15*time.Second))
	for range 2 {
		if response, _ := call(kt, "/v1/agents/a1"); response.Code != http.StatusOK {
			t.Errorf("status %d", response.Code)
		}
	}
	// Four attempts of the first call, and one of the second.
	if ids := auth.ids; len(ids) != 5 || len(slices.Compact(slices.Clone(ids))) != 2 || ids[3] == ids[4] || ids[0] == "" {
		t.Errorf("call ids %v", ids)
	}
}

func TestCheckGoesOnWhenTheCallerGoesAway(t *testing.T) {
	t.Parallel()
	kt := newClient(t, serveAuth(t, &faultyAuth{check: func(context.Context, int) error { return nil }}))
	gone, leave := context.WithCancel(t.Context())
	leave()
	request := httptest.NewRequestWithContext(gone, http.MethodGet, "/v1/agents/a1", nil)
	kt.HTTPMiddleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), request)
	if stats := kt.Stats(); stats.Allowed != 1 {
		t.Errorf("stats %+v", stats)
	}
}

func TestTokensAreSentInTLS(t *testing.T) {
	t.Parallel()
	authority := tlstest.NewAuthority(t)
	pair := authority.Issue(t, "127.0.0.1")
	auth := &faultyAuth{check: func(context.Context, int) error { return nil }}
	addr := serveAuth(t, auth, grpc.Creds(credentials.NewServerTLSFromCert(new(pair.TLS(t)))))
	trusted := credentials.NewTLS(&tls.Config{RootCAs: authority.Pool()})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(" from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, option := range []client.Option{client.WithToken("from-text"), client.WithTokenFile(file)} {
		kt := newClient(t, addr, client.WithTransportCredentials(trusted), option)
		if response, _ := call(kt, "/v1/agents/a1"); response.Code != http.StatusOK {
			t.Errorf("status %d", response.Code)
		}
	}
	if !slices.Equal(auth.tokens, []string{"Bearer from-text", "Bearer from-file"}) {
		t.Errorf("tokens %q", auth.tokens)
	}
	system := credentials.NewTLS(&tls.Config{})
	untrusted := newClient(t, addr, client.WithTransportCredentials(system), client.WithCheckTimeout(time.Second))
	if response, _ := call(untrusted, "/v1/agents/a1"); response.Code != http.StatusServiceUnavailable {
		t.Errorf("an unknown authority: status %d", response.Code)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for reason, make := range map[string]func() (*client.Client, error){
		"host:port":            func() (*client.Client, error) { return client.New("keytrail") },
		"WithToken":            func() (*client.Client, error) { return client.New("x:1", client.WithToken("")) },
		"no such file":         func() (*client.Client, error) { return client.New("x:1", client.WithTokenFile("missing")) },
		"must begin with /":    func() (*client.Client, error) { return client.New("x:1", client.WithAgentPaths("v1")) },
		"not a workspace id":   func() (*client.Client, error) { return client.New("x:1", client.WithWorkspace("A b")) },
		"WithCheckTimeout: 0s": func() (*client.Client, error) { return client.New("x:1", client.WithCheckTimeout(0)) },
		"WithAPIKeyHeaders":    func() (*client.Client, error) { return client.New("x:1", client.WithAPIKeyHeaders()) },
	} {
		kt, err := make()
		if kt != nil || err == nil || !strings.Contains(err.Error(), reason) || !strings.HasPrefix(err.Error(), "keytrail: ") {
			t.Errorf("%v, want %q", err, reason)
		}
	}
}
