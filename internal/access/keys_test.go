package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestKeyFilesArePrivateAndNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	private, public := filepath.Join(dir, "key.pem"), filepath.Join(dir, "key.pub")
	made, err := EnsureSigner(private)
	must(t, err)
	must(t, made.SavePublic(public))
	for file, mode := range map[string]fs.FileMode{private: 0o600, public: 0o644} {
		info, err := os.Stat(file)
		must(t, err)
		if info.Mode() != mode {
			t.Errorf("%s has the mode %v, want %v", file, info.Mode(), mode)
		}
	}
	again, err := EnsureSigner(private)
	must(t, err)
	keys, err := ReadPublicKeys(private, public)
	must(t, err)
	if !again.key().Equal(made.key()) || len(keys) != 2 || !keys[0].Equal(made.Public()) || !keys[1].Equal(made.Public()) {
		t.Error("what was read is not what was written")
	}
	for file, save := range map[string]func(string) error{private: newSigner(t).Save, public: newSigner(t).SavePublic} {
		if err := save(file); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s was written over: %v", file, err)
		}
	}
	if keys, err = ReadPublicKeys(private, public); err != nil || !keys[0].Equal(made.Public()) || !keys[1].Equal(made.Public()) {
		t.Errorf("the files changed: %v", err)
	}
}

// TestConcurrentEnsureSignerCreatesOneKey starts replicas that share a folder.
func TestConcurrentEnsureSignerCreatesOneKey(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		file := filepath.Join(dir, "key.pem")
		var starting sync.WaitGroup
		signers := make([]*Signer, 8)
		for i := range signers {
			starting.Go(func() {
				var err error
				if signers[i], err = EnsureSigner(file); err != nil {
					t.Errorf("the key is incomplete, or not the only one: %v", err)
				}
			})
		}
		starting.Wait()
		for _, signer := range signers {
			if signer == nil || !signer.key().Equal(signers[0].key()) {
				t.Fatal("two keys were made")
			}
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Errorf("the folder holds %v, %v; want the key alone", names, err)
		}
	}
}

func TestOneFileMayHoldSeveralKeys(t *testing.T) {
	first, second := newSigner(t), newSigner(t)
	file := filepath.Join(t.TempDir(), "keys.pem")
	text, err := first.PublicPEM()
	must(t, err)
	more, err := second.PublicPEM()
	must(t, err)
	must(t, os.WriteFile(file, append(text, more...), 0o600))
	keys, err := ReadPublicKeys(file)
	if err != nil || len(keys) != 2 || !keys[0].Equal(first.Public()) || !keys[1].Equal(second.Public()) {
		t.Errorf("read %v, %v", keys, err)
	}
}

func TestInvalidKeyFilesAreErrors(t *testing.T) {
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ecPrivate, err := x509.MarshalPKCS8PrivateKey(ecKey)
	must(t, err)
	ecPublic, err := x509.MarshalPKIXPublicKey(&ecKey.PublicKey)
	must(t, err)
	block := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	for name, tt := range map[string]struct{ text, says string }{
		"empty":                         {"", "holds no PEM"},
		"no PEM":                        {"hunter2hunter2", "holds no PEM"},
		"a certificate":                 {block("CERTIFICATE", []byte("hunter2hunter2")), "CERTIFICATE"},
		"a broken private key":          {block(privateBlock, []byte("hunter2hunter2")), "cannot be read"},
		"a broken public key":           {block(publicBlock, []byte("hunter2hunter2")), "cannot be read"},
		"a private key of another kind": {block(privateBlock, ecPrivate), "not of Ed25519"},
		"a public key of another kind":  {block(publicBlock, ecPublic), "not of Ed25519"},
	} {
		file := filepath.Join(t.TempDir(), "key.pem")
		must(t, os.WriteFile(file, []byte(tt.text), 0o600))
		_, err := ReadPublicKeys(file)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s as public keys: %v, want %q", name, err, tt.says)
		}
		_, signerErr := EnsureSigner(file)
		if signerErr == nil || !strings.Contains(signerErr.Error(), file) {
			t.Errorf("%s as a signing key: %v", name, signerErr)
		}
		if all := errors.Join(err, signerErr); all != nil && strings.Contains(all.Error(), "hunter2") {
			t.Errorf("%s: %v contains the content of the file", name, all)
		}
	}
	if _, err := ReadPublicKeys(filepath.Join(t.TempDir(), "none.pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestSignerRefusesGrantsThatNoVerifierAccepts(t *testing.T) {
	good := Grant{Role: Viewer, Workspaces: []string{"acme"}, From: noon, TTL: time.Minute}
	for name, change := range map[string]func(*Grant){
		"no role":       func(g *Grant) { g.Role = "" },
		"no workspace":  func(g *Grant) { g.Workspaces = nil },
		"* and another": func(g *Grant) { g.Workspaces = []string{AllWorkspaces, "acme"} },
		"no TTL":        func(g *Grant) { g.TTL = 0 },
		"too long": func(g *Grant) {
			g.Workspaces = nil
			for range 200 {
				g.Workspaces = append(g.Workspaces, strings.Repeat("x", 60))
			}
		},
	} {
		grant := good
		change(&grant)
		if token, err := newSigner(t).Token(grant); err == nil {
			t.Errorf("%s: made %d bytes", name, len(token))
		}
	}
}
