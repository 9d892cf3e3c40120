package access

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Signer makes tokens with one of Keytrail's own keys. It is safe for concurrent use. Its key is in closures, because fmt
// would print it anywhere else if a signer is in an unexported field.
type Signer struct {
	key    func() ed25519.PrivateKey
	signer func() jose.Signer
}

// NewSigner returns a signer with a new key, which is only in memory until Save.
func NewSigner() (*Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	return signerOf(key)
}

// ReadSigner reads the signing key of a PEM file.
func ReadSigner(file string) (*Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != privateBlock {
		return nil, fmt.Errorf("read the signing key: %s: holds no PEM block %q", file, privateBlock)
	}
	key, err := parsePrivateKey(block)
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %s: %w", file, err)
	}
	return signerOf(key)
}

// EnsureSigner reads the signing key of a PEM file. If there is no such file, it makes a key and saves it.
func EnsureSigner(file string) (*Signer, error) {
	signer, err := ReadSigner(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return signer, err
	}
	if signer, err = NewSigner(); err != nil {
		return nil, err
	}
	if err := signer.Save(file); errors.Is(err, fs.ErrExist) {
		return ReadSigner(file) // another process was first
	} else if err != nil {
		return nil, err
	}
	return signer, nil
}

func signerOf(key ed25519.PrivateKey) (*Signer, error) {
	kid := thumbprint(key.Public().(ed25519.PublicKey))
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("sign tokens: %w", err)
	}
	return &Signer{
		key:    func() ed25519.PrivateKey { return key },
		signer: func() jose.Signer { return signer },
	}, nil
}

// Public returns the key that verifies the tokens.
func (s *Signer) Public() ed25519.PublicKey { return s.key().Public().(ed25519.PublicKey) }

// Save writes the private key to a new file with the mode 0600. If the file exists, the error is fs.ErrExist.
func (s *Signer) Save(file string) error {
	der, err := x509.MarshalPKCS8PrivateKey(s.key())
	if err != nil {
		return fmt.Errorf("write the signing key: %w", err)
	}
	if err := writeNew(file, pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write the signing key: %w", err)
	}
	return nil
}

// SavePublic writes the public key to a new file with the mode 0644. If the file exists, the error is fs.ErrExist.
func (s *Signer) SavePublic(file string) error {
	text, err := s.PublicPEM()
	if err != nil {
		return err
	}
	if err := writeNew(file, text, 0o644); err != nil {
		return fmt.Errorf("write the public key: %w", err)
	}
	return nil
}

// PublicPEM returns the public key as PEM.
func (s *Signer) PublicPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(s.Public())
	if err != nil {
		return nil, fmt.Errorf("write the public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

// Grant is the content of a token.
type Grant struct {
	Role Role
	// Workspaces are ids, or AllWorkspaces alone.
	Workspaces []string
	// From is when it is made and becomes valid, TTL for how long. Both count in whole seconds.
	From time.Time
	TTL  time.Duration
}

// Token returns a signed token. Its bearer may do what it grants until it expires.
func (s *Signer) Token(grant Grant) (string, error) {
	standard := jwt.Claims{
		Issuer: LocalIssuer, Audience: jwt.Audience{Audience},
		IssuedAt: jwt.NewNumericDate(grant.From), Expiry: jwt.NewNumericDate(grant.From.Add(grant.TTL)),
	}
	own := struct {
		Role       Role     `json:"role"`
		Workspaces []string `json:"workspaces"`
	}{grant.Role, grant.Workspaces}
	// A token that no verifier accepts must not be made.
	if err := checkTimes(&standard, grant.From.Unix()); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	if _, err := newIdentity(DefaultClaimNames, grant.Role, grant.Workspaces); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	token, err := jwt.Signed(s.signer()).Claims(standard).Claims(own).Serialize()
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	if len(token) > maxToken {
		return "", fmt.Errorf("make a token: it would have %d bytes of at most %d: name fewer workspaces", len(token), maxToken)
	}
	return token, nil
}
