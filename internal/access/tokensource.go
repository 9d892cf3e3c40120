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

// Token sends a fixed token with every call.
type Token struct{ text hidden.Text }

// NewToken returns the credentials of a token.
func NewToken(text string) Token { return Token{text: hidden.Hide(text)} }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t Token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + t.text.Reveal()}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials. Whether a connection may be in plaintext is decided
// where it is made.
func (Token) RequireTransportSecurity() bool { return false }

// TokenFile sends the token in a file. It reads the file for every call, so that it can be replaced at any time.
type TokenFile string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (f TokenFile) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	return NewToken(strings.TrimSpace(string(text))).GetRequestMetadata(ctx, uri...)
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (TokenFile) RequireTransportSecurity() bool { return false }

// tokenTTL is the lifetime of the tokens of a TokenSource, which renews them at half of it.
const tokenTTL = 10 * time.Minute

// TokenSource signs the tokens of a process's own calls: short-lived ones for all workspaces, each of the role that the
// called RPC requires and no more. An RPC for any role gets a viewer's token, an open one none. It is safe for concurrent
// use.
type TokenSource struct {
	signer *Signer
	now    func() time.Time

	mu     sync.Mutex
	tokens map[Role]renewable
}

type renewable struct {
	token Token
	until time.Time
}

var _ credentials.PerRPCCredentials = (*TokenSource)(nil)

// NewTokenSource returns a source of tokens that the signer signs.
func NewTokenSource(signer *Signer, now func() time.Time) *TokenSource {
	return &TokenSource{signer: signer, now: now, tokens: map[Role]renewable{}}
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (s *TokenSource) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	call, ok := credentials.RequestInfoFromContext(ctx)
	if !ok {
		return nil, errors.New("make a token: the context has no gRPC method")
	}
	rule, err := ruleOf(protoregistry.GlobalFiles, call.Method)
	if err != nil || rule.open {
		return nil, nil // the server reports an unknown method
	}
	role := rule.role
	if role == anyRole {
		role = Viewer
	}
	token, err := s.token(role)
	if err != nil {
		return nil, err
	}
	return token.GetRequestMetadata(ctx, uri...)
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (*TokenSource) RequireTransportSecurity() bool { return false }

func (s *TokenSource) token(role Role) (Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if known := s.tokens[role]; now.Before(known.until) {
		return known.token, nil
	}
	text, err := s.signer.Token(Grant{Role: role, Workspaces: []string{AllWorkspaces}, From: now, TTL: tokenTTL})
	if err != nil {
		return Token{}, err
	}
	token := NewToken(text)
	s.tokens[role] = renewable{token: token, until: now.Add(tokenTTL / 2)}
	return token, nil
}
