// Package accesstest lets tests call services that stand behind a gate.
package accesstest

import (
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"

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
