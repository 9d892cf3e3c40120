package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestIdentityOfAToken(t *testing.T) {
	f := newFixture(t)
	some := f.expectAccepted(t, f.token(t, Viewer, "acme", "globex"))
	all := f.expectAccepted(t, f.token(t, Admin, AllWorkspaces))
	if some.Role != Viewer || all.Role != Admin || !some.Expires().Equal(noon.Add(time.Hour)) {
		t.Errorf("the tokens have the identities %v and %v", some, all)
	}
	for workspace, held := range map[string]bool{"acme": true, "globex": true, "acm": false, "": false, "_unattributed": false, "*": false} {
		if some.Holds(workspace) != held || !all.Holds(workspace) {
			t.Errorf("%q: some %v, all %v", workspace, some.Holds(workspace), all.Holds(workspace))
		}
	}
}

func TestTokenWithBadClaimsIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(object)
		says   string
	}{
		"another audience":            {func(c object) { c["aud"] = "billing" }, "`aud`"},
		"other audiences":             {func(c object) { c["aud"] = []string{"billing", "keytrail "} }, "`aud`"},
		"no audience":                 {func(c object) { delete(c, "aud") }, "`aud`"},
		"another issuer":              {func(c object) { c["iss"] = "https://evil.example.com" }, "`iss`"},
		"no issuer":                   {func(c object) { delete(c, "iss") }, "`iss`"},
		"no expiry":                   {func(c object) { delete(c, "exp") }, "no expiry"},
		"no expiry but null":          {func(c object) { c["exp"] = nil }, "no expiry"},
		"the expiry of now":           {func(c object) { c["exp"] = noon.Unix() }, "expired"},
		"a past expiry":               {func(c object) { c["exp"] = noon.Unix() - 1 }, "expired"},
		"an expiry that is text":      {func(c object) { c["exp"] = "tomorrow" }, "malformed"},
		"an expiry beyond all times":  {func(c object) { c["exp"] = 1e300 }, "malformed"},
		"a future start":              {func(c object) { c["nbf"] = noon.Unix() + 61 }, "`nbf`"},
		"made in the future":          {func(c object) { c["iat"] = noon.Unix() + 61 }, "`iat`"},
		"no role":                     {func(c object) { delete(c, "role") }, "`role`"},
		"an unknown role":             {func(c object) { c["role"] = "root" }, "`role`"},
		"the role that is none":       {func(c object) { c["role"] = "unspecified" }, "`role`"},
		"a role in capitals":          {func(c object) { c["role"] = "ADMIN" }, "`role`"},
		"two roles":                   {func(c object) { c["role"] = []string{"admin", "viewer"} }, "malformed"},
		"no workspaces":               {func(c object) { delete(c, "workspaces") }, "`workspaces`"},
		"an empty list of workspaces": {func(c object) { c["workspaces"] = []string{} }, "`workspaces`"},
		"an empty workspace":          {func(c object) { c["workspaces"] = []string{"acme", ""} }, "`workspaces`"},
		"the reserved workspace":      {func(c object) { c["workspaces"] = []string{"_unattributed"} }, "`workspaces`"},
		"all workspaces and another":  {func(c object) { c["workspaces"] = []string{"*", "acme"} }, "`workspaces`"},
		"a pattern of workspaces":     {func(c object) { c["workspaces"] = []string{"acme*"} }, "`workspaces`"},
		"workspaces that are text":    {func(c object) { c["workspaces"] = "*" }, "malformed"},
		"a workspace of bad UTF-8":    {func(c object) { c["workspaces"] = []string{"acme\xff"} }, "`workspaces`"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.expectRefused(t, f.sign(t, validClaims(tt.change)), tt.says)
		})
	}
}

func TestStartTimesHaveALeewayOfAMinute(t *testing.T) {
	f := newFixture(t)
	f.expectAccepted(t, f.sign(t, validClaims(func(c object) { c["nbf"], c["iat"] = noon.Unix()+60, noon.Unix()+60 })))
	f.expectAccepted(t, f.sign(t, validClaims(func(c object) { c["exp"] = noon.Unix() + 1 })))
	f.expectAccepted(t, f.sign(t, validClaims(func(c object) { c["aud"] = []string{"billing", "keytrail"} })))
}

// TestSignatureIsOfAKnownKey tries the known ways to forge a token.
func TestSignatureIsOfAKnownKey(t *testing.T) {
	f := newFixture(t)
	public, kid, good := f.signer.Public(), thumbprint(f.signer.Public()), validClaims(func(object) {})
	pem, err := f.signer.PublicPEM()
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	other := newSigner(t)
	genuine := f.sign(t, good)
	head, rest, _ := strings.Cut(genuine, ".")
	body, signature, _ := strings.Cut(rest, ".")
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	none := encode(`{"alg":"none","kid":"` + kid + `"}`)
	broadened := encode(`{"iss":"keytrail","aud":"keytrail","exp":9999999999,"role":"admin","workspaces":["*"]}`)
	embedded, err := (&jose.JSONWebKey{Key: other.Public()}).MarshalJSON()
	must(t, err)
	signed, err := f.signer.signer().Sign([]byte(`{"iss":"keytrail","aud":"keytrail","exp":9999999999,"workspaces":["acme"],"role":"viewer","role":"admin"}`))
	must(t, err)
	twice, err := signed.CompactSerialize()
	must(t, err)
	for name, token := range map[string]string{
		"HS256 with the public key":         sign(t, jose.HS256, append([]byte{}, public...), kid, good),
		"HS256 with its PEM":                sign(t, jose.HS256, pem, kid, good),
		"HS512 with its PEM":                sign(t, jose.HS512, pem, kid, good),
		"RS256 under its name":              sign(t, jose.RS256, rsaKey, kid, good),
		"ES256 under its name":              sign(t, jose.ES256, ecKey, kid, good),
		"another key":                       sign(t, jose.EdDSA, other.key(), thumbprint(other.Public()), good),
		"another key under its name":        sign(t, jose.EdDSA, other.key(), kid, good),
		"no name of a key":                  sign(t, jose.EdDSA, f.signer.key(), "", good),
		"none, without a signature":         none + "." + body + ".",
		"none, with the signature":          none + "." + body + "." + signature,
		"None":                              encode(`{"alg":"None"}`) + "." + body + ".",
		"no signature":                      head + "." + body + ".",
		"two parts":                         head + "." + body,
		"four parts":                        genuine + "." + signature,
		"other claims under the signature":  head + "." + broadened + "." + signature,
		"a key that it brings along":        encode(`{"alg":"EdDSA","jwk":`+string(embedded)+`}`) + "." + body + "." + signature,
		"an extension that must be known":   encode(`{"alg":"EdDSA","kid":"`+kid+`","crit":["b64"],"b64":false}`) + "." + body + "." + signature,
		"the JSON form":                     fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, body, head, signature),
		"an encrypted token":                "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA",
		"nothing":                           "",
		"dots":                              "..",
		"bad UTF-8":                         "\xff\xfe." + body + "." + signature,
		"bad UTF-8 in its head":             encode("{\"alg\":\"EdDSA\",\"kid\":\"\xff\"}") + "." + body + "." + signature,
		"a claim that is there twice":       twice,
		"one byte more than may be":         strings.Repeat("x", maxToken+1),
		"a megabyte":                        strings.Repeat("eyJh", 1<<18),
		"a megabyte around a genuine token": genuine + strings.Repeat("A", 1<<20),
		"a secret of a key":                 "sk_0123456789",
	} {
		t.Run(name, func(t *testing.T) { f.expectRefused(t, token, "") })
	}
	f.expectAccepted(t, genuine)
}

func TestSeveralKeysLetOneBeReplaced(t *testing.T) {
	old, next := newFixture(t), newFixture(t)
	maps.Copy(old.verifier.keys, next.verifier.keys)
	old.expectAccepted(t, old.token(t, Viewer, "acme"))
	old.expectAccepted(t, next.token(t, Viewer, "acme"))
	next.expectRefused(t, old.token(t, Viewer, "acme"), "`kid`")
}

func TestTokenThatExpiresWhileItIsCachedIsRefused(t *testing.T) {
	f := newFixture(t)
	token := f.sign(t, validClaims(func(c object) { c["exp"] = noon.Unix() + 10 }))
	f.expectAccepted(t, token)
	f.advance(9 * time.Second)
	f.expectAccepted(t, token)
	f.advance(time.Second)
	f.expectRefused(t, token, "expired")
}

func TestTokenIsVerifiedAgainAfterAWhile(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, Viewer, "acme")
	f.expectAccepted(t, token)
	clear(f.verifier.keys) // as though the key had been withdrawn
	f.advance((maxCacheTime - 1) * time.Second)
	f.expectAccepted(t, token)
	f.advance(time.Second)
	f.expectRefused(t, token, "`kid`")
}

func TestCacheOfTokensIsBounded(t *testing.T) {
	f := newFixture(t)
	token := f.token(t, Viewer, "acme")
	for i := range 2 * maxCached {
		f.verifier.cache.Add(digestOf(fmt.Sprint(i)), cached{})
	}
	f.expectAccepted(t, token)
	if n := f.verifier.cache.Len(); n != maxCached || !f.verifier.cache.Contains(digestOf(token)) {
		t.Errorf("%d tokens are cached, want %d with the last one", n, maxCached)
	}
}

func TestRefusedTokensAreNotCached(t *testing.T) {
	f := newFixture(t)
	f.expectRefused(t, f.sign(t, validClaims(func(c object) { c["aud"] = "billing" })), "")
	f.expectRefused(t, sign(t, jose.EdDSA, newSigner(t).key(), thumbprint(f.signer.Public()), validClaims(func(object) {})), "")
	if n := f.verifier.cache.Len(); n != 0 {
		t.Errorf("%d tokens are cached", n)
	}
}
