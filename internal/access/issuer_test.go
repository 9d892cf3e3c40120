package access

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/keytrail/keytrail/internal/fault"
)

// testIssuer is an OIDC issuer on a local port.
type testIssuer struct {
	*httptest.Server

	mu   sync.Mutex
	keys []jose.JSONWebKey
	// overrides replace fields of the discovery document.
	overrides object
	down      bool
	// fetches is how often the keys were fetched.
	fetches int
}

func newTestIssuer(t *testing.T) *testIssuer {
	t.Helper()
	l := &testIssuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		discovery := object{"issuer": l.URL, "jwks_uri": l.URL + "/keys?v=1"}
		for name, value := range l.overrides {
			discovery[name] = value
		}
		l.respond(w, discovery)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.fetches++
		l.respond(w, jose.JSONWebKeySet{Keys: l.keys})
	})
	mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

func (l *testIssuer) respond(w http.ResponseWriter, body any) {
	if l.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(body)
}

// set changes the issuer while it is in use.
func (l *testIssuer) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *testIssuer) fetchCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fetches
}

// publish adds a key with a kid.
func (l *testIssuer) publish(signer *Signer, kid string) {
	l.set(func() {
		l.keys = append(l.keys, jose.JSONWebKey{Key: signer.Public(), KeyID: kid, Use: "sig", Algorithm: "EdDSA"})
	})
}

// token returns a token of the issuer.
func (l *testIssuer) token(t *testing.T, signer *Signer, kid string) string {
	t.Helper()
	return sign(t, jose.EdDSA, signer.key(), kid, validClaims(func(c object) {
		c["iss"] = l.URL
		c["aud"] = []string{"keytrail"}
		c["exp"] = noon.Add(24 * time.Hour).Unix()
	}))
}

// refresh fetches the keys of all issuers once, as Run does.
func (f *fixture) refresh(t *testing.T) {
	t.Helper()
	for _, issuer := range f.verifier.issuers {
		issuer.refresh(t.Context())
	}
}

// expectUnavailable expects that a token cannot be verified at the moment.
func (f *fixture) expectUnavailable(t *testing.T, token string) {
	t.Helper()
	_, err := f.verifier.Verify(token)
	if e, _ := errors.AsType[*fault.Error](err); e == nil || e.Reason != fault.IssuerUnreachable {
		t.Errorf("refused with %v, want ISSUER_UNREACHABLE", err)
	}
}

func TestTokensOfAnIssuerAreVerifiedWithItsKeys(t *testing.T) {
	l := newTestIssuer(t)
	f := newFixture(t, l.URL)
	key := newSigner(t)
	l.publish(key, "k1")
	f.expectUnavailable(t, l.token(t, key, "k1"))
	f.refresh(t)
	for range 3 {
		f.expectAccepted(t, l.token(t, key, "k1"))
	}
	if l.fetchCount() != 1 {
		t.Errorf("the keys were fetched %d times", l.fetchCount())
	}
	f.expectRefused(t, l.token(t, newSigner(t), "k1"), "signature")
	f.expectRefused(t, sign(t, jose.EdDSA, key.key(), "k1", validClaims(func(c object) { c["iss"] = LocalIssuer })), "`kid`")
	f.expectRefused(t, sign(t, jose.EdDSA, f.signer.key(), thumbprint(f.signer.Public()), validClaims(func(c object) { c["iss"] = l.URL })), "`kid`")
	f.expectRefused(t, sign(t, jose.EdDSA, key.key(), "k1", validClaims(func(c object) { c["iss"], c["aud"] = l.URL, "billing" })), "`aud`")
	f.expectRefused(t, sign(t, jose.EdDSA, key.key(), "k1", validClaims(func(c object) { c["iss"] = l.URL + "/" })), "`iss`")
	f.expectRefused(t, sign(t, jose.HS256, []byte(key.Public()), "k1", validClaims(func(c object) { c["iss"] = l.URL })), "")
}

func TestIssuerMayUseOtherClaimNames(t *testing.T) {
	l := newTestIssuer(t)
	f := newFixture(t, l.URL)
	f.verifier.claims = ClaimNames{Role: "https://example.com/role", Workspaces: "tenants"}
	key := newSigner(t)
	l.publish(key, "k1")
	f.refresh(t)
	token := func(change func(object)) string {
		return sign(t, jose.EdDSA, key.key(), "k1", validClaims(func(c object) {
			c["iss"], c["role"], c["workspaces"] = l.URL, "viewer", []string{"*"}
			c["https://example.com/role"], c["tenants"] = "checker", []string{"globex"}
			change(c)
		}))
	}
	if who := f.expectAccepted(t, token(func(object) {})); who.Role != Checker || !who.Holds("globex") || who.Holds("acme") {
		t.Errorf("called by %v", who)
	}
	f.expectRefused(t, token(func(c object) { delete(c, "tenants") }), "`tenants`")
	f.expectRefused(t, token(func(c object) { delete(c, "https://example.com/role") }), "`https://example.com/role`")
	if who := f.expectAccepted(t, f.token(t, Viewer, "acme")); who.Role != Viewer {
		t.Errorf("with a token of Keytrail: called by %v", who)
	}
}

func TestUnknownKeyRequestsAFetch(t *testing.T) {
	l := newTestIssuer(t)
	f := newFixture(t, l.URL)
	issuer := f.verifier.issuers[l.URL]
	old, next := newSigner(t), newSigner(t)
	l.publish(old, "old")
	f.refresh(t)
	f.expectAccepted(t, l.token(t, old, "old"))
	l.set(func() { l.keys = nil })
	l.publish(next, "next")
	// The keys were just fetched, so the token is invalid.
	for range 100 {
		f.expectRefused(t, l.token(t, next, "next"), "`kid`")
	}
	if len(issuer.wake) != 0 {
		t.Error("a fetch was requested right after the last one")
	}
	f.advance(minRefreshInterval)
	for range 100 {
		f.expectUnavailable(t, l.token(t, next, "next"))
	}
	if len(issuer.wake) != 1 {
		t.Error("no fetch was requested")
	}
	f.refresh(t)
	f.expectAccepted(t, l.token(t, next, "next"))
	// The old key becomes invalid when the cached token is verified again.
	f.advance(maxCacheTime * time.Second)
	f.refresh(t)
	f.expectRefused(t, l.token(t, old, "old"), "`kid`")
}

func TestUnreachableIssuer(t *testing.T) {
	l := newTestIssuer(t)
	f := newFixture(t, l.URL)
	key := newSigner(t)
	l.publish(key, "k1")
	l.set(func() { l.down = true })
	f.refresh(t)
	f.expectUnavailable(t, l.token(t, key, "k1"))
	if len(f.verifier.issuers[l.URL].wake) != 0 {
		t.Error("a fetch was requested right after the last one")
	}
	f.expectAccepted(t, f.token(t, Viewer, "acme")) // local keys do not depend on the issuer
	l.set(func() { l.down = false })
	f.refresh(t)
	f.expectAccepted(t, l.token(t, key, "k1"))
	// The known keys remain in use while the issuer is unreachable.
	l.set(func() { l.down = true })
	for range 5 {
		f.advance(maxCacheTime * time.Second)
		f.refresh(t)
		f.expectAccepted(t, l.token(t, key, "k1"))
	}
	f.expectUnavailable(t, l.token(t, key, "k2"))
}

func TestInvalidDiscoveryIsRefused(t *testing.T) {
	for name, change := range map[string]func(*testIssuer){
		"another name":        func(l *testIssuer) { l.overrides = object{"issuer": "https://login.example.com"} },
		"no name":             func(l *testIssuer) { l.overrides = object{"issuer": ""} },
		"keys in plaintext":   func(l *testIssuer) { l.overrides = object{"jwks_uri": "http://keys.example.com/"} },
		"keys in a file":      func(l *testIssuer) { l.overrides = object{"jwks_uri": "file:///etc/passwd"} },
		"keys that moved":     func(l *testIssuer) { l.overrides = object{"jwks_uri": l.URL + "/moved"} },
		"no keys":             func(l *testIssuer) { l.overrides = object{"jwks_uri": l.URL + "/none"} },
		"a response too long": func(l *testIssuer) { l.overrides = object{"more": strings.Repeat("x", maxResponse)} },
	} {
		t.Run(name, func(t *testing.T) {
			l := newTestIssuer(t)
			f := newFixture(t, l.URL)
			key := newSigner(t)
			l.publish(key, "k1")
			change(l)
			f.refresh(t)
			f.expectUnavailable(t, l.token(t, key, "k1"))
		})
	}
}

func TestRemoteIssuerMustNotNameLocalKeys(t *testing.T) {
	for _, tt := range []struct {
		issuer, keys string
		safe         bool
	}{
		{"https://login.example.com", "https://keys.example.com/v1?x=y", true},
		{"https://login.example.com", "http://127.0.0.1:9100/metrics", false},
		{"https://login.example.com", "HTTP://localhost/", false},
		{"HTTPS://login.example.com", "http://127.0.0.1:9100/metrics", false},
		{"https://login.example.com", "", false},
		{"http://127.0.0.1:8000", "http://127.0.0.1:8000/keys", true},
		{"http://127.0.0.1:8000", "http://keys.example.com/", false},
	} {
		if err := newIssuer(tt.issuer, nil, nil).safeKeys(tt.keys); (err == nil) != tt.safe {
			t.Errorf("issuer %s with the keys at %q: %v", tt.issuer, tt.keys, err)
		}
	}
}

func TestKeysThatDoNotSignAreNotUsed(t *testing.T) {
	key := newSigner(t)
	for name, tt := range map[string]struct {
		key jose.JSONWebKey
		use bool
	}{
		"a public key":          {jose.JSONWebKey{Key: key.Public(), KeyID: "k"}, true},
		"a key for encryption":  {jose.JSONWebKey{Key: key.Public(), KeyID: "k", Use: "enc"}, false},
		"a key without a name":  {jose.JSONWebKey{Key: key.Public()}, false},
		"a private key":         {jose.JSONWebKey{Key: key.key(), KeyID: "k"}, false},
		"a key for two sides":   {jose.JSONWebKey{Key: []byte("hunter2"), KeyID: "k"}, false},
		"a key of an algorithm": {jose.JSONWebKey{Key: key.Public(), KeyID: "k", Algorithm: "EdDSA"}, true},
		"a key of another kind": {jose.JSONWebKey{}, false},
		"a kid without a key":   {jose.JSONWebKey{KeyID: "k"}, false},
	} {
		text := []byte(`{"kty":"unknown","kid":"k"}`)
		if tt.key.Key != nil {
			var err error
			text, err = tt.key.MarshalJSON()
			must(t, err)
		}
		if got := signingKeys([]json.RawMessage{text}); (len(got) == 1) != tt.use {
			t.Errorf("%s: used %v", name, got)
		}
	}
	if got := signingKeys([]json.RawMessage{[]byte(`7`), nil}); len(got) != 0 {
		t.Errorf("invalid keys are used: %v", got)
	}
}

func TestKeyIsUsedWithItsOwnAlgorithmOnly(t *testing.T) {
	l := newTestIssuer(t)
	f := newFixture(t, l.URL)
	key := newSigner(t)
	l.set(func() { l.keys = []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256"}} })
	f.refresh(t)
	f.expectRefused(t, l.token(t, key, "k1"), "`kid`")
}

// silentIssuer accepts requests and never responds.
type silentIssuer struct {
	mu       sync.Mutex
	requests []time.Time
}

// RoundTrip implements http.RoundTripper.
func (s *silentIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, time.Now())
	s.mu.Unlock()
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestKeysAreFetchedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const url = "https://login.example.com"
		f, silent, began := newFixture(t, url), &silentIssuer{}, time.Now()
		f.verifier.issuers[url].client = &http.Client{Transport: silent}
		f.verifier.issuers[url].now, f.verifier.now = time.Now, time.Now
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.verifier.Run(ctx) }()
		token := sign(t, jose.EdDSA, f.signer.key(), "k", validClaims(func(c object) { c["iss"] = url }))
		synctest.Wait()
		f.expectUnavailable(t, token) // while the first fetch waits for the issuer
		if f.verifier.CheckStarted() == nil {
			t.Error("started before the first fetch has ended")
		}
		<-time.After(minRefreshInterval)
		f.expectUnavailable(t, token) // and requests the second fetch
		must(t, f.verifier.CheckStarted())
		<-time.After(refreshInterval)
		synctest.Wait()
		var at []time.Duration
		for _, request := range silent.requests {
			at = append(at, request.Sub(began))
		}
		if !slices.Equal(at, []time.Duration{0, minRefreshInterval, refreshInterval}) {
			t.Errorf("the keys were fetched after %v", at)
		}
		cancel()
		must(t, <-ended)
	})
}

func TestIssuersAreURLsThatCanBeTrusted(t *testing.T) {
	for url, good := range map[string]bool{
		"https://login.example.com": true, "https://login.example.com/realms/x": true, "http://127.0.0.1:8000": true,
		"http://localhost:8000": true, "http://[::1]:8000": true, "http://login.example.com": false, "login.example.com": false,
		"": false, "keytrail": false, "https://": false, "https://a.com?x=y": false, "https://a.com#x": false, "https://u:p@a.com": false,
		"ftp://a.com": false, "http://localhost.evil.com": false,
	} {
		if err := ValidIssuer(url); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
		if _, err := NewVerifier(Config{Issuers: []string{url}}); (err == nil) != good {
			t.Errorf("a verifier for %q: %v", url, err)
		}
	}
}
