package client_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/client"
	"github.com/keytrail/keytrail/client/keytrailtest"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

type tailStream = grpc.ServerStreamingServer[logsv1.TailRequestLogsResponse]

// bots is a gRPC service of a backend: Check is a unary call, and TailRequestLogs a stream.
type bots struct {
	authv1.UnimplementedCheckServiceServer
	logsv1.UnimplementedLogServiceServer

	check func(context.Context, *authv1.CheckRequest) (*authv1.CheckResponse, error)
	tail  func(tailStream) error
}

func (b *bots) Check(ctx context.Context, request *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	return b.check(ctx, request)
}

func (b *bots) TailRequestLogs(_ *logsv1.TailRequestLogsRequest, stream tailStream) error {
	return b.tail(stream)
}

// serveGRPC serves bots behind the interceptors of a client. A panic becomes an error outside of them, as with a recovery
// middleware.
func serveGRPC(t *testing.T, kt *client.Client, b *bots) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	recovered := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
		defer func() {
			if recover() != nil {
				err = status.Error(codes.Internal, "panic")
			}
		}()
		return handler(ctx, request)
	}
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(recovered, kt.UnaryServerInterceptor()), grpc.StreamInterceptor(kt.StreamServerInterceptor()))
	authv1.RegisterCheckServiceServer(server, b)
	logsv1.RegisterLogServiceServer(server, b)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// byAgent takes the agent from the request; a stream has none yet.
func byAgent(_ context.Context, _ string, request any) client.Agent {
	check, ok := request.(*authv1.CheckRequest)
	if !ok {
		return client.Agent{Type: "agent", ID: "stream"}
	}
	return client.Agent{Type: "agent", ID: check.GetAgentId()}
}

func withKey(ctx context.Context, secret string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "api-key", secret)
}

// statuses waits for n rows and returns their statuses by agent.
func statuses(keytrail *keytrailtest.Server, n int) map[string]int32 {
	found := map[string]int32{}
	for _, row := range keytrail.AwaitRequestLogs("acme", n) {
		found[row.GetAgentId()] = row.GetStatus()
	}
	return found
}

func TestUnaryCallsAreCheckedAndRecorded(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	secret := keytrail.CreateKey("acme", nil)
	arrived := make(chan struct{})
	ends := map[string]struct {
		err    error
		status int32
		panics bool
	}{
		"ok":        {nil, 200, false},
		"missing":   {status.Error(codes.NotFound, "x"), 404, false},
		"busy":      {status.Error(codes.ResourceExhausted, "x"), 429, false},
		"unknown":   {errors.New("x"), 500, false},
		"late":      {context.DeadlineExceeded, 504, false},
		"panic":     {nil, 500, true},
		"cancelled": {nil, 499, false},
	}
	b := &bots{check: func(ctx context.Context, request *authv1.CheckRequest) (*authv1.CheckResponse, error) {
		if identity, ok := client.IdentityFromContext(ctx); !ok || identity.WorkspaceID != "acme" {
			t.Errorf("the identity is %+v", identity)
		}
		end := ends[request.GetAgentId()]
		if end.panics {
			panic("a test")
		}
		if end.status == 499 {
			close(arrived)
			<-ctx.Done()
		}
		return &authv1.CheckResponse{}, end.err
	}}
	kt := keytrail.Client(client.WithGRPCAgent(byAgent), client.WithWorkspace("acme"))
	checks := authv1.NewCheckServiceClient(serveGRPC(t, kt, b))
	ctx, cancel := context.WithCancel(withKey(t.Context(), secret))
	var leaving sync.WaitGroup
	leaving.Go(func() {
		select {
		case <-arrived:
			cancel()
		case <-ctx.Done():
		}
	})
	defer leaving.Wait()
	defer cancel()
	for agent, end := range ends {
		if end.status == 499 {
			continue // it cancels the others
		}
		if _, err := checks.Check(ctx, &authv1.CheckRequest{AgentId: agent}); (err == nil) != (agent == "ok") {
			t.Errorf("%s: %v", agent, err)
		}
	}
	if _, err := checks.Check(ctx, &authv1.CheckRequest{AgentId: "cancelled"}); status.Code(err) != codes.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	found := statuses(keytrail, len(ends))
	for agent, end := range ends {
		if found[agent] != end.status {
			t.Errorf("%s: status %d, want %d", agent, found[agent], end.status)
		}
	}
	row := keytrail.RequestLogs("acme")[0]
	if row.GetMethod() != "POST" || row.GetEndpoint() != authv1.CheckService_Check_FullMethodName {
		t.Errorf("row %v", row)
	}
}

func TestStreamsAreCheckedAndRecorded(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	b := &bots{tail: func(stream tailStream) error {
		if identity, ok := client.IdentityFromContext(stream.Context()); !ok || identity.KeyName != "test" {
			t.Errorf("the identity is %+v", identity)
		}
		if err := stream.Send(&logsv1.TailRequestLogsResponse{}); err != nil {
			return err
		}
		return status.Error(codes.Aborted, "x")
	}}
	logs := logsv1.NewLogServiceClient(serveGRPC(t, keytrail.Client(client.WithGRPCAgent(byAgent)), b))
	stream, err := logs.TailRequestLogs(withKey(t.Context(), keytrail.CreateKey("acme", nil)), &logsv1.TailRequestLogsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, first := stream.Recv()
	if _, err := stream.Recv(); first != nil || status.Code(err) != codes.Aborted {
		t.Errorf("the stream ends with %v, %v", first, err)
	}
	if found := statuses(keytrail, 1); found["stream"] != 409 {
		t.Errorf("statuses %v", found)
	}
}

func TestDeniedGRPCCallsSayWhy(t *testing.T) {
	t.Parallel()
	keytrail := keytrailtest.Start(t)
	listed := keytrail.CreateKey("acme", &authv1.Key{Name: "k", Scopes: []string{"agent"}, AgentIds: []string{"a1"}})
	byMethod := client.WithAgentPaths("agent=/keytrail.auth.v1.CheckService")
	conn := serveGRPC(t, keytrail.Client(byMethod, client.WithWorkspace("acme")), &bots{})
	checks := authv1.NewCheckServiceClient(conn)
	for name, tt := range map[string]struct {
		secret, reason, cause string
		code                  codes.Code
	}{
		"no key":   {"", "MISSING_TOKEN", "", codes.Unauthenticated},
		"no agent": {listed, "AGENT_DENIED", "no_agent", codes.PermissionDenied},
	} {
		_, err := checks.Check(withKey(t.Context(), tt.secret), &authv1.CheckRequest{})
		expectReason(t, name, err, tt.code, tt.reason)
		info, _ := status.Convert(err).Details()[0].(*errdetails.ErrorInfo)
		if info.GetMetadata()["cause"] != tt.cause || info.GetMetadata()["fix"] == "" {
			t.Errorf("%s: %v", name, info)
		}
	}
	_, err := checks.Check(withKey(withKey(t.Context(), listed), "sk_x"), &authv1.CheckRequest{})
	expectReason(t, "two keys", err, codes.Unauthenticated, "INVALID_TOKEN")
	logs := logsv1.NewLogServiceClient(conn)
	_, err = logs.ListRequestLogs(withKey(t.Context(), listed), &logsv1.ListRequestLogsRequest{})
	expectReason(t, "a method that no template matches", err, codes.PermissionDenied, "UNKNOWN_PATH")
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("the health check: %v", err)
	}
	for _, row := range keytrail.AwaitRequestLogs("acme", 3) {
		want := map[string]int32{"missing_token": 401, "invalid_token": 401, "agent_denied": 403}[row.GetErrorCode()]
		if row.GetStatus() != want {
			t.Errorf("row %v", row)
		}
	}
}

func expectReason(t *testing.T, name string, err error, code codes.Code, reason string) {
	t.Helper()
	st := status.Convert(err)
	if len(st.Details()) != 1 {
		t.Fatalf("%s: %v", name, err)
	}
	info, ok := st.Details()[0].(*errdetails.ErrorInfo)
	if st.Code() != code || !ok || info.GetReason() != reason || info.GetDomain() != "keytrail" {
		t.Errorf("%s: %v with %v", name, st, info)
	}
}
