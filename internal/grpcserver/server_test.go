package grpcserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

func TestStopLetsCallsInFlightFinish(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	f := newFixture(t, &keys{get: func(context.Context, *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
		close(arrived)
		<-release
		return &authv1.GetKeyResponse{Key: &authv1.Key{Name: "late"}}, nil
	}})
	type result struct {
		response *authv1.GetKeyResponse
		err      error
	}
	results, stopped := make(chan result, 1), make(chan error, 1)
	go func() {
		response, err := f.client.GetKey(context.Background(), validRequest)
		results <- result{response, err}
	}()
	<-arrived
	go func() { stopped <- f.stop() }()
	// The listener closes when the stop has begun; the call is still in flight.
	for {
		conn, err := f.listener.DialContext(t.Context())
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case err := <-stopped:
		t.Fatalf("the server stopped with a call in flight: %v", err)
	default:
	}
	close(release)
	if r := <-results; r.err != nil || r.response.GetKey().GetName() != "late" {
		t.Errorf("the call in flight ended with %v, %v", r.response, r.err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("an orderly stop returned %v", err)
	}
	if _, err := f.client.GetKey(t.Context(), validRequest); status.Code(err) != codes.Unavailable {
		t.Errorf("a call after the stop: %v, want UNAVAILABLE", err)
	}
}

func TestServerHasHealthAndReflection(t *testing.T) {
	f := newFixture(t, &keys{})
	health, err := grpc_health_v1.NewHealthClient(f.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health is %v, %v", health, err)
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(f.conn).ServerReflectionInfo(t.Context())
	must(t, err)
	must(t, stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}))
	response, err := stream.Recv()
	must(t, err)
	must(t, stream.CloseSend())
	found := false
	for _, service := range response.GetListServicesResponse().GetService() {
		found = found || service.GetName() == authv1.KeyService_ServiceDesc.ServiceName
	}
	if !found {
		t.Errorf("reflection lists %v", response)
	}
}

func TestRunReturnsTheErrorOfAListener(t *testing.T) {
	authorizer, _ := accesstest.Pair(t)
	server, err := New(Config{Log: slog.New(slog.DiscardHandler), Authorizer: authorizer, MaxMessageBytes: AuthMessageBytes})
	must(t, err)
	good := bufconn.Listen(1 << 10)
	if err := server.Run(t.Context(), good, brokenListener{good}); !errors.Is(err, errBroken) {
		t.Errorf("Run returned %v, want the error of the listener", err)
	}
	if _, err := good.Dial(); err == nil {
		t.Error("the other listener is still open")
	}
}

var errBroken = errors.New("no more file descriptors")

// brokenListener fails to accept connections.
type brokenListener struct{ *bufconn.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errBroken }

func (brokenListener) Close() error { return nil }

func TestRunWithACancelledContextReturnsNil(t *testing.T) {
	authorizer, _ := accesstest.Pair(t)
	server, err := New(Config{Log: slog.New(slog.DiscardHandler), Authorizer: authorizer, MaxMessageBytes: AuthMessageBytes})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Run(ctx, bufconn.Listen(1<<10)); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestUnimplementedRPCIsUnimplemented(t *testing.T) {
	f := newFixture(t, &keys{})
	_, err := f.client.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"})
	if status.Code(err) != codes.Unimplemented || len(f.log.Records(t)) != 0 {
		t.Errorf("got %v, and logged %v", err, f.log.Records(t))
	}
	if err := f.conn.Invoke(t.Context(), "/no.Service/Nothing", validRequest, &authv1.GetKeyResponse{}, grpc.WaitForReady(true)); status.Code(err) != codes.Unimplemented {
		t.Errorf("an unknown service: %v", err)
	}
}

func TestHealthFollowsSetReady(t *testing.T) {
	f := newFixture(t, &keys{})
	health := grpc_health_v1.NewHealthClient(f.conn)
	for _, step := range []struct {
		ready bool
		want  grpc_health_v1.HealthCheckResponse_ServingStatus
	}{
		{true, grpc_health_v1.HealthCheckResponse_SERVING},
		{false, grpc_health_v1.HealthCheckResponse_NOT_SERVING},
		{true, grpc_health_v1.HealthCheckResponse_SERVING},
	} {
		f.server.SetReady(step.ready)
		response, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		must(t, err)
		if response.GetStatus() != step.want {
			t.Errorf("ready %v: health is %v", step.ready, response.GetStatus())
		}
	}
}
