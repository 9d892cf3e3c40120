package grpcserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
	"github.com/keytrail/keytrail/internal/testing/logtest"
)

func TestStopEndsStreamsThatHaveNoEnd(t *testing.T) {
	f := newFixture(t, &keys{})
	watch, err := grpc_health_v1.NewHealthClient(f.conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	must(t, err)
	_, err = watch.Recv()
	must(t, err)
	reflection, err := grpc_reflection_v1.NewServerReflectionClient(f.conn).ServerReflectionInfo(t.Context())
	must(t, err)
	must(t, reflection.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}))
	_, err = reflection.Recv()
	must(t, err)
	must(t, f.stop())
	for err == nil {
		_, err = watch.Recv() // the first may be NOT_SERVING
	}
	expectReason(t, "the watch", err, codes.Unavailable, fault.ServerStopping)
	if delay := retryDelayOf(err); delay != retryDelay {
		t.Errorf("to be retried after %v", delay)
	}
	// gRPC itself ends a stream that waits for its client.
	if _, err = reflection.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("the reflection: %v", err)
	}
	if records := f.log.Records(t); len(records) != 0 {
		t.Errorf("the stop cut calls off: %v", records)
	}
}

func TestStopDoesNotWaitForASilentConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, &keys{})
		conn, err := f.listener.DialContext(t.Context())
		must(t, err)
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1)) // the server's settings: it has accepted the connection
		must(t, err)
		began := time.Now()
		must(t, f.stop())
		if took := time.Since(began); took > drainTimeout {
			t.Errorf("the stop took %v", took)
		}
	})
}

// testStream is the server's side of a stream. It receives a request for each workspace, then the end.
type testStream struct {
	grpc.ServerStream
	ctx        context.Context
	workspaces []string
	sent       int
}

// Context implements grpc.ServerStream.
func (s *testStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *testStream) RecvMsg(message any) error {
	if len(s.workspaces) == 0 {
		return io.EOF
	}
	message.(*authv1.GetKeyRequest).WorkspaceId, message.(*authv1.GetKeyRequest).KeyId = s.workspaces[0], validRequest.GetKeyId()
	s.workspaces = s.workspaces[1:]
	return nil
}

// SendMsg implements grpc.ServerStream.
func (s *testStream) SendMsg(any) error {
	s.sent++
	return nil
}

// echo responds to every request.
func echo(_ any, stream grpc.ServerStream) error {
	if _, ok := access.FromContext(stream.Context()); !ok {
		return errors.New("the handler has no identity")
	}
	for {
		err := stream.RecvMsg(&authv1.GetKeyRequest{})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&authv1.GetKeyResponse{}); err != nil {
			return err
		}
	}
}

// newTestChain returns a chain whose streams are calls of KeyService.GetKey.
func newTestChain(t *testing.T, log *logtest.Buffer) (*chain, *access.Signer) {
	t.Helper()
	signer := accesstest.NewSigner(t)
	authorizer := access.NewAuthorizer(accesstest.Verifier(t, signer))
	must(t, authorizer.ReadRules(map[string]grpc.ServiceInfo{
		authv1.KeyService_ServiceDesc.ServiceName: {Methods: []grpc.MethodInfo{{Name: "GetKey"}}},
		"grpc.health.v1.Health":                   {Methods: []grpc.MethodInfo{{Name: "Check"}}},
	}))
	c, err := newChain(t.Context(), Config{Log: slog.New(slog.NewJSONHandler(log, nil)), Authorizer: authorizer})
	must(t, err)
	return c, signer
}

var getKey = &grpc.StreamServerInfo{FullMethod: authv1.KeyService_GetKey_FullMethodName, IsServerStream: true}

func TestStreamsRequireTokensRolesAndWorkspaces(t *testing.T) {
	c, signer := newTestChain(t, &logtest.Buffer{})
	viewer, all := accesstest.Bearer(t, signer, access.Viewer, "acme", "globex"), accesstest.Bearer(t, signer, access.Admin, access.AllWorkspaces)
	for name, tt := range map[string]struct {
		token      string
		workspaces []string
		code       codes.Code
		sent       int
	}{
		"its workspaces":          {viewer, []string{"acme", "globex"}, codes.OK, 2},
		"another workspace":       {viewer, []string{"initech"}, codes.PermissionDenied, 0},
		"another workspace later": {viewer, []string{"acme", "initech"}, codes.PermissionDenied, 1},
		"no workspace":            {viewer, []string{""}, codes.PermissionDenied, 0},
		"all workspaces":          {all, []string{"initech", "acme"}, codes.OK, 2},
		"a broken rule":           {all, []string{"!"}, codes.InvalidArgument, 0},
		"another role":            {accesstest.Bearer(t, signer, access.Checker, access.AllWorkspaces), []string{"acme"}, codes.PermissionDenied, 0},
		"no token":                {"", []string{"acme"}, codes.Unauthenticated, 0},
	} {
		s := &testStream{ctx: metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", tt.token)), workspaces: tt.workspaces}
		if err := c.stream(nil, s, getKey, echo); status.Code(err) != tt.code || s.sent != tt.sent {
			t.Errorf("%s: %v after %d responses; want %v after %d", name, err, s.sent, tt.code, tt.sent)
		}
	}
}

func TestStreamEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, signer := newTestChain(t, &logtest.Buffer{})
		s := &testStream{ctx: metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", accesstest.Bearer(t, signer, access.Viewer, "acme")))}
		began := time.Now()
		err := c.stream(nil, s, getKey, func(_ any, stream grpc.ServerStream) error {
			<-stream.Context().Done()
			return stream.Context().Err()
		})
		expectReason(t, "a stream", err, codes.Unauthenticated, fault.TokenInvalid)
		if took := time.Since(began); took != time.Hour {
			t.Errorf("ended after %v", took)
		}
	})
}

// TestExpiredTokenSendsNoRequest: a handler that only waits for requests does not look at its context.
func TestExpiredTokenSendsNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, signer := newTestChain(t, &logtest.Buffer{})
		token := accesstest.Bearer(t, signer, access.Viewer, "acme")
		s := &testStream{ctx: metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", token)), workspaces: []string{"acme", "acme"}}
		err := c.stream(nil, s, getKey, func(service any, stream grpc.ServerStream) error {
			if err := stream.RecvMsg(&authv1.GetKeyRequest{}); err != nil {
				t.Errorf("before the token expires: %v", err)
			}
			<-time.After(time.Hour)
			synctest.Wait() // the deadline of the token is at the same instant
			return stream.RecvMsg(&authv1.GetKeyRequest{})
		})
		expectReason(t, "a request after the token has expired", err, codes.Unauthenticated, fault.TokenInvalid)
	})
}

func TestOpenStreamRequiresNothing(t *testing.T) {
	c, _ := newTestChain(t, &logtest.Buffer{})
	s := &testStream{ctx: t.Context()}
	err := c.stream(nil, s, &grpc.StreamServerInfo{FullMethod: grpc_health_v1.Health_Check_FullMethodName}, func(_ any, stream grpc.ServerStream) error {
		return stream.SendMsg(&authv1.GetKeyResponse{})
	})
	if err != nil || s.sent != 1 {
		t.Errorf("ended with %v", err)
	}
}

func TestStreamsHaveTheErrorsOfTheTable(t *testing.T) {
	log := &logtest.Buffer{}
	c, signer := newTestChain(t, log)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", accesstest.Bearer(t, signer, access.Viewer, "acme")))
	for name, tt := range map[string]struct {
		handler grpc.StreamHandler
		code    codes.Code
	}{
		"a panic":       {func(any, grpc.ServerStream) error { panic("password hunter2") }, codes.Internal},
		"a fault":       {func(any, grpc.ServerStream) error { return fault.New(fault.RoleMissing, "no") }, codes.PermissionDenied},
		"no error":      {func(any, grpc.ServerStream) error { return nil }, codes.OK},
		"another error": {func(any, grpc.ServerStream) error { return errors.New("hunter2") }, codes.Internal},
	} {
		err := c.stream(nil, &testStream{ctx: ctx}, getKey, tt.handler)
		if status.Code(err) != tt.code || strings.Contains(status.Convert(err).Message(), "hunter2") {
			t.Errorf("%s: %v, want %v", name, err, tt.code)
		}
	}
	if records := log.Records(t); len(records) != 2 || records[0]["rpc"] != getKey.FullMethod {
		t.Errorf("logged %v, want the panic and the other error", records)
	}
}

// TestOpenCallEndsWithoutItsRequest: a caller without a token must not hold memory by never sending the request.
func TestOpenCallEndsWithoutItsRequest(t *testing.T) {
	f := newFixture(t, &keys{})
	stream, err := f.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, grpc_health_v1.Health_Check_FullMethodName)
	must(t, err)
	response := &grpc_health_v1.HealthCheckResponse{}
	if err := stream.RecvMsg(response); err != nil || response.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("ended with %v %v", response, err)
	}
}

// TestHealthHasOneStatus: the request of Health/Check, which names a service, is not read.
func TestHealthHasOneStatus(t *testing.T) {
	f := newFixture(t, &keys{})
	for _, service := range []string{"", "keytrail.auth.v1.KeyService", "unknown"} {
		response, err := grpc_health_v1.NewHealthClient(f.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || response.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("the health of %q: %v %v", service, response, err)
		}
	}
}

// TestRefusedCallHoldsNothing: a call that is refused must not hold memory until the deadline that its caller chose.
func TestRefusedCallHoldsNothing(t *testing.T) {
	f := newFixture(t, &keys{})
	bare, err := f.dial()
	must(t, err)
	defer bare.Close()
	client := authv1.NewKeyServiceClient(bare)
	refuse := func(times int) {
		for range times {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
			if _, err := client.GetKey(ctx, validRequest); status.Code(err) != codes.Unauthenticated {
				t.Fatalf("without a token: %v", err)
			}
			cancel()
		}
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	refuse(100)
	before := heap()
	const calls = 5000
	refuse(calls)
	if after := heap(); after > before+calls*100 {
		t.Errorf("the heap grew by %d bytes a call", (after-before)/calls)
	}
}
