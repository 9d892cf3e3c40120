package grpcapi_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/authsvc/grpcapi"
	"github.com/keytrail/keytrail/authsvc/sqlite"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// fixture is an auth service on SQLite. Its clock stands still until a test moves it, and it records the trail's rows.
type fixture struct {
	mu      sync.Mutex
	now     time.Time
	rows    []authsvc.Entry
	store   *sqlite.Store
	keyring *authsvc.Keyring
	keys    *authsvc.Keys
	checker *authsvc.Checker
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"))
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	f := &fixture{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), store: store}
	f.keyring = authsvc.NewKeyring(store, f.clock)
	f.keys = authsvc.NewKeys(store, f.keyring, authsvc.DefaultAgentTypes, authsvc.Quota{}, f.clock)
	f.checker, err = authsvc.NewChecker(authsvc.CheckerConfig{
		Keyring: f.keyring, Trail: f, TokenKey: make([]byte, 32), AgentTypes: authsvc.DefaultAgentTypes, Now: f.clock,
	})
	must(t, err)
	return f
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) advance(by time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(by)
}

// Append implements authsvc.Trail.
func (f *fixture) Append(_ context.Context, rows ...authsvc.Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = append(f.rows, rows...)
	return nil
}

// appended returns the rows that were appended so far.
func (f *fixture) appended() []authsvc.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]authsvc.Entry(nil), f.rows...)
}

// create makes a key of acme that may call every agent, unless change says otherwise.
func (f *fixture) create(t *testing.T, change func(*authsvc.Key)) (authsvc.Key, authsvc.PlainSecret) {
	t.Helper()
	draft := authsvc.Key{WorkspaceID: "acme", Name: "production", Scopes: []string{"agent"}, AllAgents: true}
	if change != nil {
		change(&draft)
	}
	key, secret, err := f.keys.Create(t.Context(), draft, uuid.Nil)
	must(t, err)
	return key, secret
}

// dial serves the fixture over gRPC with the production interceptors and connects to it.
func (f *fixture) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	authorizer, credentials := accesstest.Pair(t)
	return f.serve(t, authorizer, credentials)
}

// serve serves the fixture to the callers of an authorizer, and connects to it.
func (f *fixture) serve(t *testing.T, authorizer *access.Authorizer, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	server, err := grpcserver.New(grpcserver.Config{Log: slog.New(slog.DiscardHandler), Authorizer: authorizer, MaxMessageBytes: grpcserver.AuthMessageBytes})
	must(t, err)
	grpcapi.Register(server, f.checker, f.keys)
	listener := bufconn.Listen(1 << 20)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	conn, err := grpc.NewClient("passthrough:authsvc", append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		stop()
		must(t, <-ended)
	})
	return conn
}

// expectBad checks for INVALID_ARGUMENT with a violation of a field, in the text and in the details.
func expectBad(t *testing.T, err error, field string) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != codes.InvalidArgument || !strings.Contains(st.Message(), field+": ") {
		t.Errorf("error %v, want INVALID_ARGUMENT with %q", err, field)
		return
	}
	for _, detail := range st.Details() {
		bad, _ := detail.(*errdetails.BadRequest)
		for _, v := range bad.GetFieldViolations() {
			if v.GetField() == field && v.GetDescription() != "" {
				return
			}
		}
	}
	t.Errorf("no violation of %q in the details %v", field, st.Details())
}

func expectStatus(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("error %v, want %v", err, want)
	}
}

// expectReason checks the code, and the reason in the details.
func expectReason(t *testing.T, err error, code codes.Code, reason fault.Reason) *errdetails.ErrorInfo {
	t.Helper()
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && status.Code(err) == code && info.GetReason() == reason.String() {
			return info
		}
	}
	t.Errorf("error %v with the details %v, want %v and %v", err, status.Convert(err).Details(), code, reason)
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
