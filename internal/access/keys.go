package access

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
)

const (
	privateBlock = "PRIVATE KEY" // PKCS #8
	publicBlock  = "PUBLIC KEY"  // PKIX
)

// thumbprint names a public key (RFC 7638): it is the `kid` of the tokens that the key signs.
func thumbprint(key ed25519.PublicKey) string {
	// An Ed25519 key always has one.
	sum, _ := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum)
}

// ReadPublicKeys reads the Ed25519 keys of PEM files: any number in each, public or private; of a private one the
// public half is taken.
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

// parsePrivateKey tells nothing of what it cannot read: it may be a part of the key.
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
