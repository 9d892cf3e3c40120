package serve

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// TestBadTokensLockNobodyOut sends many bad tokens from one address: behind a proxy all callers have the same one, and
// a new token from there must pass at once.
func TestBadTokensLockNobodyOut(t *testing.T) {
	w := newWorld(t, &keys{get: func(context.Context, *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
		return &authv1.GetKeyResponse{}, nil
	}})
	bad, good := w.overTCP(t, grpc.WithPerRPCCredentials(access.NewToken("bad"))), w.overTCP(t, w.token)
	for i := range 2000 {
		if _, err := bad.GetKey(t.Context(), someKey); status.Code(err) != codes.Unauthenticated {
			t.Fatalf("bad token %d: %v, want UNAUTHENTICATED", i, err)
		}
	}
	if _, err := good.GetKey(t.Context(), someKey); err != nil {
		t.Errorf("a new token from the same address: %v", err)
	}
}
