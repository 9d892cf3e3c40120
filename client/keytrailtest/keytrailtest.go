// Package keytrailtest runs Keytrail in tests:
//
//	keytrail := keytrailtest.Start(t)
//	handler := keytrail.Client().HTTPMiddleware(mux)
//	secret := keytrail.CreateKey("acme", nil)
//
// It is the real server with its embedded databases, in the process of the test and on ports of its own, so tests may run in
// parallel. It starts in about 0.1 s. A program that imports this package in its tests depends on the modules of the whole
// server.
package keytrailtest

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/client"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
)

const (
	// waitTimeout is how long a test waits for rows, and a call for its check.
	waitTimeout = 30 * time.Second
	retention   = 30 * 24 * time.Hour
	anyPort     = "127.0.0.1:0"
)

// AgentTypes is the catalog of agent types.
var AgentTypes = []string{"agent", "data_agent", "voice_agent"}

// Server is a running Keytrail. It is safe for concurrent use; its methods end the test if they fail, so they belong into the
// goroutine of the test.
type Server struct {
	// Addr is the address of the auth service.
	Addr string
	// Token is a token of the role checker for all workspaces.
	Token string
	// Keys and Logs are the other services, for what has no method here. Every call is permitted.
	Keys authv1.KeyServiceClient
	Logs logsv1.LogServiceClient

	t testing.TB
}

// Start runs Keytrail until the end of the test.
func Start(t testing.TB) *Server {
	t.Helper()
	dir := t.TempDir()
	config := app.ServeConfig{
		DataDir: dir, GatewayAddr: anyPort, AuthAddr: anyPort, LogsAddr: anyPort, OpsAddr: anyPort,
		Retention: retention, AgentTypes: AgentTypes,
	}
	config.TrailFsync, config.TrailMaxBytes, config.TrailFull = 100*time.Millisecond, 64<<20, "allow"
	config.TrailStallTimeout = 10 * time.Second
	server, err := app.NewServer(t.Context(), config, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatalf("start Keytrail: %v", err)
	}
	run(t, server)
	signer, err := access.ReadSigner(filepath.Join(dir, app.SigningKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Addr: server.AuthAddr()}
	s.Token, err = signer.Token(access.Grant{
		Role: access.Checker, Workspaces: []string{access.AllWorkspaces}, From: time.Now(), TTL: 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens := access.NewTokenSource(signer, time.Now)
	s.Keys = authv1.NewKeyServiceClient(dial(t, s.Addr, tokens))
	s.Logs = logsv1.NewLogServiceClient(dial(t, server.LogsAddr(), tokens))
	return s
}

// run runs a server until the end of the test.
func run(t testing.TB, server *app.Server) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("stop Keytrail: %v", err)
		}
	})
}

func dial(t testing.TB, addr string, tokens *access.TokenSource) *grpc.ClientConn {
	t.Helper()
	plaintext := grpc.WithTransportCredentials(insecure.NewCredentials())
	conn, err := grpc.NewClient(addr, plaintext, grpc.WithPerRPCCredentials(tokens))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Client returns a client of the server, which is closed at the end of the test. The options follow its token and a timeout of
// checks that is longer than the default, for slow machines.
func (s *Server) Client(options ...client.Option) *client.Client {
	s.t.Helper()
	defaults := []client.Option{client.WithToken(s.Token), client.WithCheckTimeout(waitTimeout)}
	c, err := client.New(s.Addr, append(defaults, options...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			s.t.Error(err)
		}
	})
	return c
}

// CreateKey creates a key and returns its secret. By default its name is test, and it may call all agents of all types; a key
// that is not nil replaces that.
func (s *Server) CreateKey(workspace string, key *authv1.Key) (secret string) {
	s.t.Helper()
	if key == nil {
		key = &authv1.Key{Name: "test", Scopes: AgentTypes, AllAgents: true}
	}
	created, err := s.Keys.CreateKey(s.t.Context(), &authv1.CreateKeyRequest{WorkspaceId: workspace, Key: key})
	if err != nil {
		s.t.Fatalf("create a key: %v", err)
	}
	return created.GetSecret()
}

// AwaitRequestLogs waits until the workspace has n request logs that are reported, and returns all of it, oldest first. Rows
// arrive about a second after their calls.
func (s *Server) AwaitRequestLogs(workspace string, n int) []*logsv1.RequestLog {
	s.t.Helper()
	deadline := time.After(waitTimeout)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		rows := s.RequestLogs(workspace)
		reported := 0
		for _, row := range rows {
			if row.LatencyMs != nil {
				reported++
			}
		}
		if reported >= n {
			return rows
		}
		select {
		case <-deadline:
			s.t.Fatalf("%d of %d request logs are reported after %v: %v", reported, n, waitTimeout, rows)
		case <-tick.C:
		}
	}
}

// RequestLogs returns the request logs of the workspace that have arrived, oldest first.
func (s *Server) RequestLogs(workspace string) (rows []*logsv1.RequestLog) {
	s.t.Helper()
	for token, more := "", true; more; more = token != "" {
		request := &logsv1.ListRequestLogsRequest{WorkspaceId: workspace, PageSize: 1000, PageToken: token}
		page, err := s.Logs.ListRequestLogs(s.t.Context(), request)
		if err != nil {
			s.t.Fatalf("list request logs: %v", err)
		}
		rows, token = append(rows, page.GetRequestLogs()...), page.GetNextPageToken()
	}
	slices.SortFunc(rows, func(a, b *logsv1.RequestLog) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return rows
}
