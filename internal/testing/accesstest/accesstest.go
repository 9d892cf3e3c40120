// Package accesstest lets tests call services that require tokens, and handlers that use the caller's identity.
package accesstest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// Pair returns an authorizer and the credentials of a client that it accepts: with each call the client sends a token of
// all workspaces and of the role that the RPC requires.
func Pair(t testing.TB) (*access.Authorizer, grpc.DialOption) {
	t.Helper()
	signer := NewSigner(t)
	return access.NewAuthorizer(Verifier(t, signer)), grpc.WithPerRPCCredentials(access.NewTokenSource(signer, time.Now))
}

// NewSigner returns a signer with a new key.
func NewSigner(t testing.TB) *access.Signer {
	t.Helper()
	signer, err := access.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Verifier returns a verifier of the tokens of a signer.
func Verifier(t testing.TB, signer *access.Signer) *access.Verifier {
	t.Helper()
	verifier, err := access.NewVerifier(access.Config{
		Keys: access.TokenKeys{"": {signer.Public()}}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// Bearer returns the Authorization header of a token that is valid for an hour.
func Bearer(t testing.TB, signer *access.Signer, role access.Role, workspaces ...string) string {
	t.Helper()
	token, err := signer.Token(access.Grant{Role: role, Workspaces: workspaces, From: time.Now(), TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token
}

// Context returns the context of a handler whose caller has a token of a role for the workspaces, which may be
// access.AllWorkspaces: access.FromContext returns its identity.
func Context(t testing.TB, role access.Role, workspaces ...string) context.Context {
	t.Helper()
	signer := NewSigner(t)
	authorizer := access.NewAuthorizer(Verifier(t, signer))
	// Every role may call this RPC.
	service := grpc.ServiceInfo{Methods: []grpc.MethodInfo{{Name: "GetCatalog"}}}
	if err := authorizer.ReadRules(map[string]grpc.ServiceInfo{authv1.KeyService_ServiceDesc.ServiceName: service}); err != nil {
		t.Fatal(err)
	}
	ctx, err := authorizer.Authenticate(t.Context(), authv1.KeyService_GetCatalog_FullMethodName, []string{Bearer(t, signer, role, workspaces...)})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}
