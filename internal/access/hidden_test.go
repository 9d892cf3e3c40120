package access

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// TestWhatHoldsATokenOrAKeyDoesNotShowIt formats everything that might be logged by mistake.
func TestWhatHoldsATokenOrAKeyDoesNotShowIt(t *testing.T) {
	w := newWorld(t)
	made := w.token(t, Admin, AllWorkspaces)
	minter := NewMinter(w.signer, w.now)
	minted, err := minter.token(Ingester)
	must(t, err)
	w.expectAccepted(t, made)
	identity := w.expectAccepted(t, minted.text.Reveal())
	type holder struct {
		token  Token
		signer *Signer
		minter *Minter
	}
	seed := w.signer.key().Seed()
	for _, v := range []any{
		NewToken(made), minted, *w.signer, w.signer, minter, holder{NewToken(made), w.signer, minter}, w.verifier, identity, TokenFile("/token"),
		[]any{w.signer, minter}, map[Role]Token{Admin: minted},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%z"} {
			shown := fmt.Sprintf(verb, v)
			for _, never := range []string{
				made, made[len(made)-40:], minted.text.Reveal()[:40], hex.EncodeToString(seed[:8]), strings.ToUpper(hex.EncodeToString(seed[:8])),
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
