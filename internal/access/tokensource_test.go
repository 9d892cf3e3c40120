package access

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTokenOfAFileMayBeReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if _, err := TokenFile(file).GetRequestMetadata(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for _, token := range []string{"first", "second"} {
		must(t, os.WriteFile(file, []byte(" "+token+"\n"), 0o600))
		sent, err := TokenFile(file).GetRequestMetadata(t.Context())
		if err != nil || sent["authorization"] != "Bearer "+token || len(sent) != 1 {
			t.Errorf("sends %v, %v", sent, err)
		}
	}
}

func TestTokenSourceRenewsItsTokens(t *testing.T) {
	f := newFixture(t)
	source := NewTokenSource(f.signer, f.now)
	first, err := source.token(Ingester)
	must(t, err)
	if identity := f.expectAccepted(t, first.text.Reveal()); identity.Role != Ingester || !identity.Holds("acme") {
		t.Errorf("made a token of %v", identity)
	}
	f.advance(tokenTTL/2 - time.Second)
	if again, err := source.token(Ingester); err != nil || again.text.Reveal() != first.text.Reveal() {
		t.Errorf("a new token before its time, %v", err)
	}
	f.advance(time.Second)
	renewed, err := source.token(Ingester)
	if err != nil || renewed.text.Reveal() == first.text.Reveal() {
		t.Errorf("the token is not renewed, %v", err)
	}
	f.advance(tokenTTL/2 - time.Second)
	f.expectAccepted(t, first.text.Reveal())
	f.advance(2 * time.Second)
	f.expectRefused(t, first.text.Reveal(), "expired")
	f.expectAccepted(t, renewed.text.Reveal())
	if other, err := source.token(Viewer); err != nil || f.expectAccepted(t, other.text.Reveal()).Role != Viewer {
		t.Errorf("made %v", err)
	}
}
