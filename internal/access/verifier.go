package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/keytrail/keytrail/internal/fault"
)

const (
	// maxToken is the maximum size of a token. A longer one is refused before it is parsed.
	maxToken = 8 << 10
	// maxCached is the maximum number of verified tokens in the cache.
	maxCached = 10_000
	// maxCacheTime is the number of seconds after which a cached token is verified again, so that a token of a
	// removed key becomes invalid.
	maxCacheTime = 300
)

// algorithms are the accepted signature algorithms. All are asymmetric, so that no public key can make a signature.
var algorithms = []jose.SignatureAlgorithm{
	jose.EdDSA, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512, jose.RS256, jose.RS384, jose.RS512,
}

// Config configures a Verifier.
type Config struct {
	// Keys are the public keys of Keytrail's own tokens. Several allow one to be replaced.
	Keys TokenKeys
	// Issuers are the URLs of OIDC issuers; see ValidIssuer. Run fetches their keys.
	Issuers []string
	// Claims are the names of the claims in the tokens of OIDC issuers. An empty name is that of DefaultClaimNames.
	Claims ClaimNames
	Now    func() time.Time
	Log    *slog.Logger
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	keys    map[string]*tokenKey // by thumbprint
	issuers map[string]*issuer   // by URL
	claims  ClaimNames
	// cache has the tokens that were verified, by SHA-256. Invalid tokens are not cached, and cannot evict others.
	cache *lru.Cache[digest, cached]
	now   func() time.Time
}

type digest = [sha256.Size]byte

type cached struct {
	identity *Identity
	until    int64 // seconds since 1970
}

// NewVerifier returns a verifier. It knows the keys of OIDC issuers once Run has fetched them.
func NewVerifier(config Config) (*Verifier, error) {
	cache, err := lru.New[digest, cached](maxCached)
	if err != nil {
		return nil, err
	}
	v := &Verifier{
		keys: config.Keys.byThumbprint(), issuers: map[string]*issuer{}, cache: cache, now: config.Now,
		claims: ClaimNames{
			Role:       cmp.Or(config.Claims.Role, DefaultClaimNames.Role),
			Workspaces: cmp.Or(config.Claims.Workspaces, DefaultClaimNames.Workspaces),
		},
	}
	for _, url := range config.Issuers {
		if err := ValidIssuer(url); err != nil {
			return nil, fmt.Errorf("OIDC issuer: %w", err)
		}
		v.issuers[url] = newIssuer(url, config.Now, config.Log)
	}
	return v, nil
}

// Run fetches the keys of the OIDC issuers until ctx ends: at once, every minute, and when a token has an unknown key.
func (v *Verifier) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, issuer := range v.issuers {
		running.Go(func() { issuer.run(ctx) })
	}
	running.Wait()
	<-ctx.Done()
	return nil
}

// CheckStarted returns an error until the keys of every issuer were fetched once, or the attempt failed.
func (v *Verifier) CheckStarted() error {
	for url, issuer := range v.issuers {
		if !issuer.started() {
			return fmt.Errorf("the keys of %s are being fetched", url)
		}
	}
	return nil
}

const scheme = "bearer "

// VerifyHeader verifies the token in the values of a call's Authorization header, as Verify does.
func (v *Verifier) VerifyHeader(values []string) (*Identity, error) {
	switch {
	case len(values) == 0:
		return nil, fault.New(fault.TokenMissing, "no token: send the header `authorization: Bearer TOKEN`; `keytrail token create` makes one")
	case len(values) > 1:
		return nil, refuse("more than one `authorization` header")
	}
	value := values[0]
	if len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return nil, refuse("the `authorization` header must be `Bearer TOKEN`")
	}
	return v.Verify(value[len(scheme):])
}

// Verify returns the identity in a token. It never waits: a token that was verified before costs a look-up, any other
// one the verification of its signature. The faults are Unauthenticated, and Unavailable if the keys of the token's
// issuer are not known yet.
func (v *Verifier) Verify(token string) (*Identity, error) {
	if len(token) > maxToken {
		return nil, refuse("the token is longer than %d bytes", maxToken)
	}
	now := v.now()
	key := digestOf(token)
	if found, ok := v.cache.Get(key); ok && now.Unix() < found.until {
		if found.identity.expires <= now.Unix() {
			return nil, errExpired
		}
		return found.identity, nil
	}
	identity, err := v.verify(token, now)
	if err != nil {
		return nil, err
	}
	v.cache.Add(key, cached{identity, now.Unix() + maxCacheTime})
	return identity, nil
}

// digestOf returns the SHA-256 of a token. The buffer avoids an allocation for tokens of the usual length.
func digestOf(token string) digest {
	var buffer [768]byte
	return sha256.Sum256(append(buffer[:0], token...))
}

func (v *Verifier) verify(token string, now time.Time) (*Identity, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || strings.Count(token, ".") != 2 {
		return nil, errMalformed
	}
	var unverified jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&unverified); err != nil {
		return nil, errMalformed
	}
	key, names, err := v.key(unverified.Issuer, parsed.Headers[0])
	if err != nil {
		return nil, err
	}
	var standard jwt.Claims
	var claims map[string]json.RawMessage
	if err := parsed.Claims(key, &standard, &claims); err != nil || standard.Issuer != unverified.Issuer {
		return nil, refuse("the token's signature is wrong")
	}
	identity, err := names.identity(&standard, claims, now)
	if err == nil && standard.Issuer == LocalIssuer {
		err = v.keys[parsed.Headers[0].KeyID].checkRole(identity.Role)
	}
	if err != nil {
		return nil, err
	}
	return identity, nil
}

// key returns the key that a token of an issuer must be signed with, and the names of its claims. The key depends on the
// issuer and on `kid` only: the algorithm in the header never chooses how the token is verified.
func (v *Verifier) key(from string, header jose.Header) (any, ClaimNames, error) {
	if from == LocalIssuer {
		key, ok := v.keys[header.KeyID]
		if !ok || header.Algorithm != string(jose.EdDSA) {
			return nil, ClaimNames{}, errUnknownKey
		}
		return key.public, DefaultClaimNames, nil
	}
	issuer, ok := v.issuers[from]
	if !ok {
		return nil, ClaimNames{}, refuse("the token is of an issuer (`iss`) that is not accepted here")
	}
	key, err := issuer.key(header.KeyID)
	if err != nil {
		return nil, ClaimNames{}, err
	}
	if key.Algorithm != "" && key.Algorithm != header.Algorithm {
		return nil, ClaimNames{}, errUnknownKey
	}
	return key.Key, v.claims, nil
}
