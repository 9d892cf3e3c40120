package grpcserver

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
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

func TestRequestIsNotValidatedWithoutAToken(t *testing.T) {
	f := newFixture(t, &keys{})
	bare, err := f.dial()
	must(t, err)
	defer bare.Close()
	_, err = authv1.NewKeyServiceClient(bare).GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "!", KeyId: "x"})
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "no token") {
		t.Errorf("a bad request without a token: %v, want UNAUTHENTICATED", err)
	}
	expectReason(t, "without a token", err, codes.Unauthenticated, fault.TokenMissing)
	if _, err := f.client.GetKey(t.Context(), &authv1.GetKeyRequest{WorkspaceId: "!", KeyId: "x"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a bad request with a token: %v, want INVALID_ARGUMENT", err)
	}
	if records := f.log.Records(t); len(records) != 0 {
		t.Errorf("logged %v", records)
	}
}

// TestTokenSourceReadsTheCatalog calls an RPC for any role.
func TestTokenSourceReadsTheCatalog(t *testing.T) {
	f := newFixture(t, &keys{})
	if _, err := f.client.GetCatalog(t.Context(), &authv1.GetCatalogRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v, want the error of the handler", err)
	}
}

func TestServerWithAnRPCWithoutARuleDoesNotServe(t *testing.T) {
	authorizer, _ := accesstest.Pair(t)
	server, err := New(Config{Log: slog.New(slog.DiscardHandler), Authorizer: authorizer, MaxMessageBytes: AuthMessageBytes})
	must(t, err)
	grpc_testing.RegisterTestServiceServer(server, grpc_testing.UnimplementedTestServiceServer{})
	listener := bufconn.Listen(1 << 10)
	if err := server.Run(t.Context(), listener); err == nil || !strings.Contains(err.Error(), "grpc.testing.TestService.") {
		t.Errorf("Run returned %v, want an error that names the RPC", err)
	}
	if _, err := listener.Dial(); err == nil {
		t.Error("the listener is still open")
	}
}

// TestInvalidTokensDoNotBlockValidOnes sends many invalid tokens from the one address that a proxy has.
func TestInvalidTokensDoNotBlockValidOnes(t *testing.T) {
	f := newFixture(t, &keys{get: func(context.Context, *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
		return &authv1.GetKeyResponse{}, nil
	}})
	bad, good := f.overTCP(t, grpc.WithPerRPCCredentials(access.NewToken("bad"))), f.overTCP(t, f.token)
	for i := range 2000 {
		if _, err := bad.GetKey(t.Context(), validRequest); status.Code(err) != codes.Unauthenticated {
			t.Fatalf("bad token %d: %v, want UNAUTHENTICATED", i, err)
		}
	}
	if _, err := good.GetKey(t.Context(), validRequest); err != nil {
		t.Errorf("a new token from the same address: %v", err)
	}
}
