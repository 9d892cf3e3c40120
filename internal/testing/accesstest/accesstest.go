// Package accesstest lets tests call services that stand behind a gate, and handlers that ask who calls.
package accesstest

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// Pair makes a gate and the credentials of a client that passes it: with each call it sends a token of all workspaces
// and of the role that the RPC needs.
func Pair(t *testing.T) (*access.Gate, grpc.DialOption) {
	t.Helper()
	signer, err := access.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	return Gate(t, signer), grpc.WithPerRPCCredentials(access.NewMinter(signer, time.Now))
}

// Gate makes a gate for the tokens of a signer.
func Gate(t *testing.T, signer *access.Signer) *access.Gate {
	t.Helper()
	verifier, err := access.NewVerifier(access.Config{
		Keys: []ed25519.PublicKey{signer.Public()}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return access.NewGate(verifier)
}

// Context returns the context that a handler sees whose caller has a token of a role for the workspaces, which may be
// access.AllWorkspaces: access.FromContext finds it there.
func Context(t *testing.T, role access.Role, workspaces ...string) context.Context {
	t.Helper()
	signer, err := access.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Token(access.Grant{Role: role, Workspaces: workspaces, From: time.Now(), TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	gate := Gate(t, signer)
	// Every role may call this one.
	catalog := authv1.KeyService_GetCatalog_FullMethodName
	service := grpc.ServiceInfo{Methods: []grpc.MethodInfo{{Name: "GetCatalog"}}}
	if err := gate.Protect(map[string]grpc.ServiceInfo{authv1.KeyService_ServiceDesc.ServiceName: service}); err != nil {
		t.Fatal(err)
	}
	ctx, err := gate.Enter(metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+token)), catalog)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}
