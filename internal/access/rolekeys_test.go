package access

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// roleFixture is a fixture whose verifier reads the key of its signer with ReadTokenKeys, once for each prefix.
func roleFixture(t *testing.T, prefixes ...string) *fixture {
	t.Helper()
	f := &fixture{clock: &clock{at: noon}, signer: newSigner(t)}
	file := filepath.Join(t.TempDir(), "a=b.pub") // a name with = is no prefix
	must(t, f.signer.SavePublic(file))
	var files []string
	for _, prefix := range prefixes {
		files = append(files, prefix+file)
	}
	keys, err := ReadTokenKeys(files...)
	must(t, err)
	f.verifier, err = NewVerifier(Config{Keys: keys, Now: f.now})
	must(t, err)
	return f
}

func TestKeyThatIsLimitedToARoleSignsNoOther(t *testing.T) {
	for name, tt := range map[string]struct {
		prefixes []string
		accepted []Role
	}{
		"no limit":    {[]string{""}, Roles},
		"ingester":    {[]string{"ingester="}, []Role{Ingester}},
		"checker":     {[]string{"checker="}, []Role{Checker}},
		"viewer":      {[]string{"viewer="}, []Role{Viewer}},
		"admin":       {[]string{"admin="}, []Role{Admin, Viewer}},
		"two roles":   {[]string{"ingester=", "checker="}, []Role{Ingester, Checker}},
		"both":        {[]string{"ingester=", ""}, Roles},
		"another kid": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := roleFixture(t, tt.prefixes...)
			for _, role := range Roles {
				token := f.token(t, role, AllWorkspaces)
				switch {
				case slices.Contains(tt.accepted, role):
					if got := f.expectAccepted(t, token).Role; got != role {
						t.Errorf("a token of %s has the role %s", role, got)
					}
				case tt.prefixes == nil:
					f.expectRefused(t, token, "is not accepted here")
				default:
					f.expectRefused(t, token, string("the token has the role \""+role+"\", but its key (`kid`) is accepted for ["))
				}
			}
		})
	}
}

func TestKeyOfARoleCanBeReplaced(t *testing.T) {
	old, next := roleFixture(t, "ingester="), newSigner(t)
	file := filepath.Join(t.TempDir(), "keys.pem")
	text, err := old.signer.PublicPEM()
	must(t, err)
	more, err := next.PublicPEM()
	must(t, err)
	must(t, os.WriteFile(file, append(text, more...), 0o600))
	keys, err := ReadTokenKeys("ingester=" + file)
	must(t, err)
	both, err := NewVerifier(Config{Keys: keys, Now: old.now})
	must(t, err)
	for _, signer := range []*Signer{old.signer, next} {
		f := &fixture{clock: old.clock, signer: signer, verifier: both}
		f.expectAccepted(t, f.token(t, Ingester, AllWorkspaces))
		f.expectRefused(t, f.token(t, Admin, AllWorkspaces), `["ingester"]`)
	}
}

func TestUnknownRoleOfAKeyIsAFileName(t *testing.T) {
	if _, err := ReadTokenKeys("ingestor=" + filepath.Join(t.TempDir(), "key.pub")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a mistyped role: %v", err)
	}
}

// TestRefusedRoleIsNotCached sends a refused token twice: the second time it could be found in the cache.
func TestRefusedRoleIsNotCached(t *testing.T) {
	f := roleFixture(t, "ingester=")
	token := f.token(t, Admin, "acme")
	for range 2 {
		f.expectRefused(t, token, "admin")
		f.advance(time.Second)
	}
}
