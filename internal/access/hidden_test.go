package access

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// TestTokensAndKeysAreNotFormatted formats every value that could be logged by mistake.
func TestTokensAndKeysAreNotFormatted(t *testing.T) {
	f := newFixture(t)
	made := f.token(t, Admin, AllWorkspaces)
	source := NewTokenSource(f.signer, f.now)
	sent, err := source.token(Ingester)
	must(t, err)
	f.expectAccepted(t, made)
	identity := f.expectAccepted(t, sent.text.Reveal())
	type holder struct {
		token  Token
		signer *Signer
		source *TokenSource
	}
	seed := f.signer.key().Seed()
	for _, v := range []any{
		NewToken(made), sent, *f.signer, f.signer, source, holder{NewToken(made), f.signer, source}, f.verifier, identity, TokenFile("/token"),
		[]any{f.signer, source}, map[Role]Token{Admin: sent},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%z"} {
			shown := fmt.Sprintf(verb, v)
			for _, never := range []string{
				made, made[len(made)-40:], sent.text.Reveal()[:40], hex.EncodeToString(seed[:8]), strings.ToUpper(hex.EncodeToString(seed[:8])),
				base64.StdEncoding.EncodeToString(seed)[:20], strings.Trim(fmt.Sprint(seed[:6]), "[]"),
				strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", seed[:6]), "[]byte{"), "}"),
			} {
				if strings.Contains(shown, never) {
					t.Errorf("%T under %s shows %q", v, verb, never)
				}
			}
		}
	}
}
