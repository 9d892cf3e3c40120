package envoy_test

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/envoy"
	"github.com/keytrail/keytrail/authsvc/grpcapi"
	"github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
	"github.com/keytrail/keytrail/internal/testing/logtest"
)

// fixture is both services on a real checker and with the production interceptors. It is the checker's trail.
type fixture struct {
	authorization authv3.AuthorizationClient
	conn          *grpc.ClientConn
	signer        *access.Signer
	keys          *authsvc.Keys
	checker       *authsvc.Checker
	logged        *logtest.Buffer
	stop          context.CancelFunc

	mu       sync.Mutex
	rows     []authsvc.Entry
	attempts int
	// refuse makes the trail refuse rows with this error.
	refuse error
	// steps makes each attempt to append rows wait for step; nil = it does not.
	steps *steps
	// streams receives the contexts of streams, at the server.
	streams chan context.Context
}

// newFixture returns a fixture with paths that also name the workspace.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	f := &fixture{signer: accesstest.NewSigner(t), logged: &logtest.Buffer{}, streams: make(chan context.Context, 100)}
	keyring := authsvc.NewKeyring(store, time.Now)
	f.keys = authsvc.NewKeys(store, keyring, authsvc.DefaultAgentTypes, authsvc.Quota{}, time.Now)
	f.checker, err = authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: keyring, Trail: f, TokenKey: make([]byte, 32), AgentTypes: authsvc.DefaultAgentTypes, RefuseUnrecorded: true, Now: time.Now,
	})
	must(t, err)
	paths, err := agentpath.Parse([]string{agentpath.DefaultTemplate, "/w/{workspace_id}/{agent_type}s/{agent_id}/…"})
	must(t, err)
	observe := func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		f.streams <- stream.Context()
		return next(service, stream)
	}
	server, err := grpcserver.New(grpcserver.Config{
		Log: slog.New(slog.DiscardHandler), Authorizer: access.NewAuthorizer(accesstest.Verifier(t, f.signer)),
		Instrumentation: grpcserver.Instrumentation{Stream: observe}, MaxMessageBytes: grpcserver.AuthMessageBytes,
	})
	must(t, err)
	envoy.Register(server, grpcapi.NewCheckServer(f.checker), paths, slog.New(slog.NewJSONHandler(f.logged, nil)))
	f.serve(t, server)
	f.authorization = authv3.NewAuthorizationClient(f.conn)
	return f
}

func (f *fixture) serve(t *testing.T, server *grpcserver.Server) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	var err error
	f.conn, err = grpc.NewClient("passthrough:authsvc", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	must(t, err)
	t.Cleanup(func() {
		must(t, f.conn.Close())
		stop()
		must(t, <-ended)
	})
}

// as returns the context of a call with a token.
func (f *fixture) as(t *testing.T, role access.Role, workspaces ...string) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", accesstest.Bearer(t, f.signer, role, workspaces...))
}

// Append implements authsvc.Trail.
func (f *fixture) Append(ctx context.Context, rows ...authsvc.Entry) error {
	if f.steps != nil {
		f.steps.begin <- struct{}{}
		<-f.steps.proceed
		defer func() { f.steps.end <- struct{}{} }()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts++
	if err := cmp.Or(f.refuse, ctx.Err()); err != nil {
		return err
	}
	f.rows = append(f.rows, rows...)
	return nil
}

// steps are the moments of an attempt to append rows.
type steps struct{ begin, proceed, end chan struct{} }

func newSteps() *steps {
	return &steps{make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

// finish lets an attempt that has begun go on, and waits until it has ended.
func (s *steps) finish() {
	s.proceed <- struct{}{}
	<-s.end
}

// setRefuse makes the trail refuse rows; nil = it takes them.
func (f *fixture) setRefuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

// reported returns the rows of reports so far, and how often rows were appended.
func (f *fixture) reported() (rows []authsvc.Entry, attempts int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, row := range f.rows {
		if row.FromReport {
			rows = append(rows, row)
		}
	}
	return rows, f.attempts
}

// create makes a key of a workspace that may call every agent of the type agent, and returns its secret.
func (f *fixture) create(t *testing.T, workspace string) string {
	t.Helper()
	draft := authsvc.Key{
		WorkspaceID: workspace, Name: "Schlüssel", ExternalID: "customer 7", Scopes: []string{"agent"}, AllAgents: true, Metadata: map[string]string{"plan": "gold"},
	}
	_, secret, err := f.keys.Create(t.Context(), draft, uuid.Nil)
	must(t, err)
	return secret.Reveal()
}

var errFull = fault.New(fault.TrailFull, "the trail is full")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
