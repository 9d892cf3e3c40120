package access

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxToken is the most bytes of a token; what is longer is refused unread.
const maxToken = 8 << 10

// algorithms are those that a token may be signed with: all have a public and a private key. With none of them can
// what is public make a signature, and `none` is not among them.
var algorithms = []jose.SignatureAlgorithm{
	jose.EdDSA, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512, jose.RS256, jose.RS384, jose.RS512,
}

// Config says whose tokens are good.
type Config struct {
	// Keys are the public keys of Keytrail's own tokens. Several at once let one be replaced.
	Keys []ed25519.PublicKey
	// Issuers are the URLs of OIDC issuers; see ValidIssuer.
	Issuers []string
	// Now is the clock.
	Now func() time.Time
	// Log is told where an issuer cannot be reached, and nothing of any token.
	Log *slog.Logger
}

// Verifier verifies tokens. It may be used concurrently.
type Verifier struct {
	keys    map[string]ed25519.PublicKey // by thumbprint
	issuers map[string]*issuer           // by URL
	seen    *cache
	now     func() time.Time
}

// NewVerifier makes a verifier. It reaches no issuer before a token of that issuer comes.
func NewVerifier(config Config) (*Verifier, error) {
	v := &Verifier{
		keys: map[string]ed25519.PublicKey{}, issuers: map[string]*issuer{}, seen: newCache(), now: config.Now,
	}
	for _, key := range config.Keys {
		v.keys[thumbprint(key)] = key
	}
	for _, url := range config.Issuers {
		if err := ValidIssuer(url); err != nil {
			return nil, fmt.Errorf("OIDC issuer: %w", err)
		}
		v.issuers[url] = newIssuer(url, config.Now, config.Log)
	}
	return v, nil
}

// Verify answers who a token's bearer is. A token that was verified before costs a look-up. The faults are
// Unauthenticated, and Unavailable where the token's issuer cannot be asked for its keys.
func (v *Verifier) Verify(ctx context.Context, token string) (*Identity, error) {
	if len(token) > maxToken {
		return nil, refuse("the token is longer than %d bytes", maxToken)
	}
	now := v.now()
	digest := digestOf(token)
	if identity, ok := v.seen.get(digest, now.Unix()); ok {
		if identity.expires <= now.Unix() {
			return nil, errExpired
		}
		return identity, nil
	}
	said, err := v.read(ctx, token)
	if err != nil {
		return nil, err
	}
	identity, err := said.identity(now)
	if err != nil {
		return nil, err
	}
	v.seen.put(digest, identity, now.Unix())
	return identity, nil
}

// read answers the claims of a token whose signature is right.
func (v *Verifier) read(ctx context.Context, token string) (*claims, error) {
	malformed := refuse("malformed token: it must be a signed JWT of an accepted algorithm, e.g. EdDSA")
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || strings.Count(token, ".") != 2 {
		return nil, malformed
	}
	var said claims
	if err := parsed.UnsafeClaimsWithoutVerification(&said); err != nil {
		return nil, malformed
	}
	key, err := v.key(ctx, said.Issuer, parsed.Headers[0])
	if err != nil {
		return nil, err
	}
	var proved claims
	if err := parsed.Claims(key, &proved); err != nil || proved.Issuer != said.Issuer {
		return nil, refuse("the token's signature is wrong")
	}
	return &proved, nil
}

// key finds the key that a token of an issuer must be signed with. Which one that is depends on the issuer alone:
// what a header says of its algorithm never chooses how it is verified.
func (v *Verifier) key(ctx context.Context, from string, header jose.Header) (any, error) {
	if from == LocalIssuer {
		key, ok := v.keys[header.KeyID]
		if !ok || header.Algorithm != string(jose.EdDSA) {
			return nil, errUnknownKey
		}
		return key, nil
	}
	issuer, ok := v.issuers[from]
	if !ok {
		return nil, refuse("the token is of an issuer (`iss`) that is not accepted here")
	}
	key, err := issuer.key(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "" && key.Algorithm != header.Algorithm {
		return nil, errUnknownKey
	}
	return key.Key, nil
}

var errUnknownKey = refuse("the token is signed with a key (`kid`) that is not accepted here")
