package access

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/keytrail/keytrail/internal/hidden"
)

// mintedFor is how long a token lives that a process makes for its own calls; it makes a new one when half of it is
// over.
const mintedFor = 10 * time.Minute

// Token sends a fixed token with every call, and shows it to nobody else.
type Token struct{ text hidden.Text }

// NewToken makes one.
func NewToken(text string) Token { return Token{text: hidden.Hide(text)} }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t Token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{header: "Bearer " + t.text.Reveal()}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: whether a connection may be in plaintext is
// decided where it is made.
func (Token) RequireTransportSecurity() bool { return false }

// TokenFile sends the token that a file holds. It is read for every call, so that it can be replaced at any time: for
// callers that send batches.
type TokenFile string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (f TokenFile) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	return NewToken(strings.TrimSpace(string(text))).GetRequestMetadata(ctx, uri...)
}

// RequireTransportSecurity implements credentials.PerRPCCredentials, as that of Token does.
func (TokenFile) RequireTransportSecurity() bool { return false }

// Minter makes the tokens for its calls itself: short-lived ones of all workspaces, each of the role that the contract
// asks for the RPC that is called, and no more (a viewer's where any role may call); an RPC that asks for none gets none. It may be used concurrently.
type Minter struct {
	signer *Signer
	now    func() time.Time

	mu     sync.Mutex
	minted map[Role]minted
}

type minted struct {
	token Token
	until time.Time
}

var _ credentials.PerRPCCredentials = (*Minter)(nil)

// NewMinter makes a minter.
func NewMinter(signer *Signer, now func() time.Time) *Minter {
	return &Minter{signer: signer, now: now, minted: map[Role]minted{}}
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (m *Minter) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	call, ok := credentials.RequestInfoFromContext(ctx)
	if !ok {
		return nil, errors.New("make a token: gRPC does not say for which call")
	}
	rule, err := ruleOf(protoregistry.GlobalFiles, call.Method)
	if err != nil {
		return nil, nil // open, or not there: either way it is for the server to say
	}
	role := rule.role
	if role == anyRole {
		role = Viewer
	}
	token, err := m.token(role)
	if err != nil {
		return nil, err
	}
	return token.GetRequestMetadata(ctx, uri...)
}

// RequireTransportSecurity implements credentials.PerRPCCredentials, as that of Token does.
func (*Minter) RequireTransportSecurity() bool { return false }

func (m *Minter) token(role Role) (Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if known := m.minted[role]; now.Before(known.until) {
		return known.token, nil
	}
	text, err := m.signer.Token(Grant{Role: role, Workspaces: []string{AllWorkspaces}, From: now, TTL: mintedFor})
	if err != nil {
		return Token{}, err
	}
	token := NewToken(text)
	m.minted[role] = minted{token: token, until: now.Add(mintedFor / 2)}
	return token, nil
}
