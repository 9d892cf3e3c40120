package serve

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

func TestWhoMayNotCallIsNotToldWhatIsWrongWithTheRequest(t *testing.T) {
	w := newWorld(t, &keys{})
	bare, err := w.dial()
	must(t, err)
	defer bare.Close()
	_, err = authv1.NewKeyServiceClient(bare).GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "!", KeyId: "x"})
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "no token") {
		t.Errorf("a bad request without a token: %v, want UNAUTHENTICATED", err)
	}
	expectReason(t, "without a token", err, codes.Unauthenticated, fault.TokenMissing)
	if _, err := w.client.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "!", KeyId: "x"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a bad request with a token: %v, want INVALID_ARGUMENT", err)
	}
	if records := w.log.records(t); len(records) != 0 {
		t.Errorf("logged %v", records)
	}
}

// TestMintedTokenReadsTheCatalog calls an RPC for any role with a token that its client makes itself.
func TestMintedTokenReadsTheCatalog(t *testing.T) {
	w := newWorld(t, &keys{})
	if _, err := w.client.GetCatalog(t.Context(), &authv1.GetCatalogRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("answered %v, want what the handler says", err)
	}
}

func TestServerWithAnRPCOfNoRoleDoesNotServe(t *testing.T) {
	gate, _ := accesstest.Pair(t)
	server, err := NewGRPC(slog.New(slog.DiscardHandler), gate, nil)
	must(t, err)
	grpc_testing.RegisterTestServiceServer(server, grpc_testing.UnimplementedTestServiceServer{})
	listener := bufconn.Listen(1 << 10)
	if err := server.Run(t.Context(), listener); err == nil || !strings.Contains(err.Error(), "grpc.testing.TestService.") {
		t.Errorf("Run answers %v, want an error that names the RPC", err)
	}
	if _, err := listener.Dial(); err == nil {
		t.Error("the listener is still open")
	}
}

func TestStreamsHaveTheErrorsOfTheTable(t *testing.T) {
	book := &logbook{}
	stream := answerStreamErrors(slog.New(slog.NewJSONHandler(book, nil)))
	for name, tt := range map[string]struct {
		handler grpc.StreamHandler
		code    codes.Code
	}{
		"a panic":       {func(any, grpc.ServerStream) error { panic("password hunter2") }, codes.Internal},
		"a fault":       {func(any, grpc.ServerStream) error { return fault.New(fault.RoleMissing, "no") }, codes.PermissionDenied},
		"no error":      {func(any, grpc.ServerStream) error { return nil }, codes.OK},
		"another error": {func(any, grpc.ServerStream) error { return errBroken }, codes.Internal},
	} {
		err := stream(nil, silent{ctx: t.Context()}, &grpc.StreamServerInfo{FullMethod: "/a/B"}, tt.handler)
		if status.Code(err) != tt.code || strings.Contains(status.Convert(err).Message(), "hunter2") {
			t.Errorf("%s: %v, want %v", name, err, tt.code)
		}
	}
	if records := book.records(t); len(records) != 2 || records[0]["rpc"] != "/a/B" {
		t.Errorf("logged %v, want the panic and the other error", records)
	}
}

// silent is a stream on which nothing is said.
type silent struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s silent) Context() context.Context { return s.ctx }
