package grpcserver

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// TestInvalidTokensDoNotBlockValidOnes sends many invalid tokens from the one address that a proxy has.
func TestInvalidTokensDoNotBlockValidOnes(t *testing.T) {
	f := newFixture(t, &keys{get: func(context.Context, *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
		return &authv1.GetKeyResponse{}, nil
	}})
	bad, good := f.overTCP(t, grpc.WithPerRPCCredentials(access.NewToken("bad"))), f.overTCP(t, f.token)
	for i := range 2000 {
		if _, err := bad.GetKey(t.Context(), someKey); status.Code(err) != codes.Unauthenticated {
			t.Fatalf("bad token %d: %v, want UNAUTHENTICATED", i, err)
		}
	}
	if _, err := good.GetKey(t.Context(), someKey); err != nil {
		t.Errorf("a new token from the same address: %v", err)
	}
}
