package access

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"

	"github.com/keytrail/keytrail/internal/durable"
)

const (
	privateBlock = "PRIVATE KEY" // PKCS #8
	publicBlock  = "PUBLIC KEY"  // PKIX
)

// thumbprint returns the `kid` of the tokens that a key signs (RFC 7638).
func thumbprint(key ed25519.PublicKey) string {
	// This cannot fail for an Ed25519 key.
	sum, _ := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum)
}

// ReadPublicKeys reads the Ed25519 keys of PEM files: any number in each. Of a private key it returns the public half.
func ReadPublicKeys(files ...string) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the keys of tokens: %w", err)
		}
		found, err := parsePublicKeys(text)
		if err != nil {
			return nil, fmt.Errorf("read the keys of tokens: %s: %w", file, err)
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

func parsePublicKeys(text []byte) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key, err := publicKeyOf(block)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("holds no PEM key")
	}
	return keys, nil
}

func publicKeyOf(block *pem.Block) (ed25519.PublicKey, error) {
	if block.Type == privateBlock {
		private, err := parsePrivateKey(block)
		if err != nil {
			return nil, err
		}
		return private.Public().(ed25519.PublicKey), nil
	}
	if block.Type != publicBlock {
		return nil, fmt.Errorf("holds a PEM block %q, neither a %q nor a %q", block.Type, publicBlock, privateBlock)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("holds a public key that cannot be read")
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("holds a public key that is not of Ed25519")
	}
	return key, nil
}

// parsePrivateKey hides the cause of an error, which may contain a part of the key.
func parsePrivateKey(block *pem.Block) (ed25519.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("holds a private key that cannot be read")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("holds a private key that is not of Ed25519")
	}
	return key, nil
}

// writeNew durably writes a file that must not exist (fs.ErrExist). A reader or a crash sees the whole file or none. It may
// leave a second name of the file, which begins with a dot.
func writeNew(path string, content []byte, mode os.FileMode) (err error) {
	dir, name := filepath.Dir(path), filepath.Base(path)
	file, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces an existing file.
	err = os.Link(file.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(dir)
}
