package access

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/keytrail/keytrail/internal/fault"
)

// clock is a clock that the test advances.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// fixture is a verifier that accepts the tokens of a signer.
type fixture struct {
	*clock
	signer   *Signer
	verifier *Verifier
}

func newFixture(t testing.TB, issuers ...string) *fixture {
	t.Helper()
	f := &fixture{clock: &clock{at: noon}, signer: newSigner(t)}
	var err error
	f.verifier, err = NewVerifier(Config{
		Keys: TokenKeys{"": {f.signer.Public()}}, Issuers: issuers, Now: f.now, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return f
}

func newSigner(t testing.TB) *Signer {
	t.Helper()
	signer, err := NewSigner()
	must(t, err)
	return signer
}

// token returns a token that is valid for an hour.
func (f *fixture) token(t testing.TB, role Role, workspaces ...string) string {
	t.Helper()
	token, err := f.signer.Token(Grant{Role: role, Workspaces: workspaces, From: f.at, TTL: time.Hour})
	must(t, err)
	return token
}

// validClaims returns claims that are valid at noon, as modified by change.
func validClaims(change func(object)) object {
	claims := object{
		"iss": "keytrail", "aud": "keytrail", "exp": noon.Add(time.Hour).Unix(), "role": "viewer", "workspaces": []string{"acme"},
	}
	change(claims)
	return claims
}

type object = map[string]any

// sign returns a token with claims, signed with any key and algorithm.
func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, kid string, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	must(t, err)
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	must(t, err)
	return token
}

// sign returns a token with claims, signed with the key that the verifier knows.
func (f *fixture) sign(t testing.TB, claims any) string {
	t.Helper()
	return sign(t, jose.EdDSA, f.signer.key(), thumbprint(f.signer.Public()), claims)
}

// expectRefused expects a fault whose message contains a text, and no part of the token.
func (f *fixture) expectRefused(t *testing.T, token, says string) {
	t.Helper()
	identity, err := f.verifier.Verify(token)
	if identity != nil || fault.KindOf(err) != fault.Unauthenticated || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, %v; want a refusal with %q", identity, err, says)
	}
	if err != nil {
		expectNoneOf(t, err.Error(), token)
	}
}

// expectNoneOf expects a text to contain no part of a token.
func expectNoneOf(t *testing.T, text, token string) {
	t.Helper()
	for part := range strings.FieldsFuncSeq(token, func(r rune) bool { return r == '.' }) {
		if len(part) > 8 && strings.Contains(text, part[:8]) {
			t.Errorf("%q contains a part of the token", text)
		}
	}
}

func (f *fixture) expectAccepted(t *testing.T, token string) *Identity {
	t.Helper()
	identity, err := f.verifier.Verify(token)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return identity
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
