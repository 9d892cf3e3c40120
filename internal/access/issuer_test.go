package access

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/keytrail/keytrail/internal/fault"
)

// login is an OIDC issuer on a port of this machine.
type login struct {
	*httptest.Server

	mu    sync.Mutex
	keys  []jose.JSONWebKey
	about object // over what it says of itself
	down  bool
	asked int // how often its keys were fetched
}

func newLogin(t *testing.T) *login {
	t.Helper()
	l := &login{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		about := object{"issuer": l.URL, "jwks_uri": l.URL + "/keys?v=1"}
		for name, value := range l.about {
			about[name] = value
		}
		l.answer(w, about)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked++
		l.answer(w, jose.JSONWebKeySet{Keys: l.keys})
	})
	mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

func (l *login) answer(w http.ResponseWriter, what any) {
	if l.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(what)
}

// set changes the issuer.
func (l *login) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *login) timesAsked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// publish makes a key of the issuer known under a name.
func (l *login) publish(signer *Signer, kid string) {
	l.set(func() {
		l.keys = append(l.keys, jose.JSONWebKey{Key: signer.Public(), KeyID: kid, Use: "sig", Algorithm: "EdDSA"})
	})
}

// token makes a token of the issuer.
func (l *login) token(t *testing.T, signer *Signer, kid string) string {
	t.Helper()
	return sign(t, jose.EdDSA, signer.key(), kid, said(func(c object) {
		c["iss"] = l.URL
		c["aud"] = []string{"keytrail"}
		c["exp"] = noon.Add(24 * time.Hour).Unix()
	}))
}

func TestTokensOfAnIssuerAreVerifiedWithItsKeys(t *testing.T) {
	l := newLogin(t)
	w := newWorld(t, l.URL)
	if l.timesAsked() != 0 {
		t.Error("the issuer was asked before it was needed")
	}
	key := newSigner(t)
	l.publish(key, "k1")
	for range 3 {
		w.expectAccepted(t, l.token(t, key, "k1"))
	}
	if l.timesAsked() != 1 {
		t.Errorf("the issuer was asked %d times", l.timesAsked())
	}
	w.expectRefused(t, l.token(t, newSigner(t), "k1"), "signature")
	w.expectRefused(t, sign(t, jose.EdDSA, key.key(), "k1", said(func(c object) { c["iss"] = LocalIssuer })), "`kid`")
	w.expectRefused(t, sign(t, jose.EdDSA, w.signer.key(), thumbprint(w.signer.Public()), said(func(c object) { c["iss"] = l.URL })), "`kid`")
	w.expectRefused(t, sign(t, jose.EdDSA, key.key(), "k1", said(func(c object) { c["iss"], c["aud"] = l.URL, "billing" })), "`aud`")
	w.expectRefused(t, sign(t, jose.EdDSA, key.key(), "k1", said(func(c object) { c["iss"] = l.URL + "/" })), "`iss`")
	w.expectRefused(t, sign(t, jose.HS256, []byte(key.Public()), "k1", said(func(c object) { c["iss"] = l.URL })), "")
}

func TestIssuerReplacesItsKey(t *testing.T) {
	l := newLogin(t)
	w := newWorld(t, l.URL)
	old, next := newSigner(t), newSigner(t)
	l.publish(old, "old")
	w.expectAccepted(t, l.token(t, old, "old"))
	l.set(func() { l.keys = nil })
	l.publish(next, "next")
	// However many tokens of unknown keys come, the issuer is asked once in a while only.
	for range 100 {
		w.expectRefused(t, l.token(t, next, "next"), "`kid`")
	}
	if l.timesAsked() != 1 {
		t.Errorf("the issuer was asked %d times", l.timesAsked())
	}
	w.pass(askEvery)
	w.expectAccepted(t, l.token(t, next, "next"))
	// The old one is not good any more, once what is remembered of it has run out.
	w.pass(maxCacheTime * time.Second)
	w.expectRefused(t, l.token(t, old, "old"), "`kid`")
}

func TestIssuerThatIsAwayIsNoReasonToRefuseForGood(t *testing.T) {
	l := newLogin(t)
	w := newWorld(t, l.URL)
	key := newSigner(t)
	l.publish(key, "k1")
	l.set(func() { l.down = true })
	for range 3 {
		if _, err := w.verifier.Verify(t.Context(), l.token(t, key, "k1")); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("an issuer that never answered: %v, want UNAVAILABLE", err)
		}
	}
	w.expectAccepted(t, w.token(t, Viewer, "acme")) // the others are not concerned
	l.set(func() { l.down = false })
	w.pass(askEvery)
	w.expectAccepted(t, l.token(t, key, "k1"))
	// Its keys go on being used while it is away, and it is asked now and then.
	l.set(func() { l.down = true })
	for range 5 {
		w.pass(keysFor)
		w.expectAccepted(t, l.token(t, key, "k1"))
	}
	if l.timesAsked() != 1 {
		t.Errorf("an answer was taken %d times from an issuer that is down", l.timesAsked())
	}
}

func TestIssuerMustBeWhoItIs(t *testing.T) {
	for name, change := range map[string]func(*login){
		"another name":       func(l *login) { l.about = object{"issuer": "https://login.example.com"} },
		"no name":            func(l *login) { l.about = object{"issuer": ""} },
		"keys in plaintext":  func(l *login) { l.about = object{"jwks_uri": "http://keys.example.com/"} },
		"keys in a file":     func(l *login) { l.about = object{"jwks_uri": "file:///etc/passwd"} },
		"keys that moved":    func(l *login) { l.about = object{"jwks_uri": l.URL + "/moved"} },
		"no keys":            func(l *login) { l.about = object{"jwks_uri": l.URL + "/none"} },
		"an answer too long": func(l *login) { l.about = object{"more": strings.Repeat("x", maxAnswer)} },
	} {
		l := newLogin(t)
		w := newWorld(t, l.URL)
		key := newSigner(t)
		l.publish(key, "k1")
		change(l)
		if _, err := w.verifier.Verify(t.Context(), l.token(t, key, "k1")); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v, want UNAVAILABLE", name, err)
		}
	}
}

func TestIssuerElsewhereDoesNotSendUsToOurOwnServices(t *testing.T) {
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
			t.Errorf("%s sends to %q: %v", tt.issuer, tt.keys, err)
		}
	}
}

func TestKeysThatDoNotSignAreNotUsed(t *testing.T) {
	key := newSigner(t)
	for name, tt := range map[string]struct {
		key jose.JSONWebKey
		use bool
	}{
		"a public key":            {jose.JSONWebKey{Key: key.Public(), KeyID: "k"}, true},
		"a key for encryption":    {jose.JSONWebKey{Key: key.Public(), KeyID: "k", Use: "enc"}, false},
		"a key without a name":    {jose.JSONWebKey{Key: key.Public()}, false},
		"a private key":           {jose.JSONWebKey{Key: key.key(), KeyID: "k"}, false},
		"a key for two sides":     {jose.JSONWebKey{Key: []byte("hunter2"), KeyID: "k"}, false},
		"a key of an algorithm":   {jose.JSONWebKey{Key: key.Public(), KeyID: "k", Algorithm: "EdDSA"}, true},
		"a key of another kind":   {jose.JSONWebKey{}, false},
		"a name, and not the key": {jose.JSONWebKey{KeyID: "k"}, false},
	} {
		text := []byte(`{"kty":"of tomorrow","kid":"k"}`)
		if tt.key.Key != nil {
			var err error
			text, err = tt.key.MarshalJSON()
			must(t, err)
		}
		if got := usable([]json.RawMessage{text}); (len(got) == 1) != tt.use {
			t.Errorf("%s: used %v", name, got)
		}
	}
	if got := usable([]json.RawMessage{[]byte(`7`), nil}); len(got) != 0 {
		t.Errorf("what is no key is used: %v", got)
	}
}

func TestAlgorithmOfAKeyIsTheOnlyOne(t *testing.T) {
	l := newLogin(t)
	w := newWorld(t, l.URL)
	key := newSigner(t)
	l.set(func() { l.keys = []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256"}} })
	w.expectRefused(t, l.token(t, key, "k1"), "`kid`")
}

func TestManyCallersAskAnIssuerOnce(t *testing.T) {
	l := newLogin(t)
	w := newWorld(t, l.URL)
	key := newSigner(t)
	l.publish(key, "k1")
	token := l.token(t, key, "k1")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := w.verifier.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if l.timesAsked() != 1 {
		t.Errorf("the issuer was asked %d times", l.timesAsked())
	}
}

// silence is an issuer that takes a request and never answers.
type silence struct{}

// RoundTrip implements http.RoundTripper.
func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestIssuerThatNeverAnswersHoldsNobodyUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const url = "https://login.example.com"
		w := newWorld(t, url)
		w.verifier.issuers[url].client = &http.Client{Transport: silence{}}
		began := time.Now()
		_, err := w.verifier.Verify(t.Context(), sign(t, jose.EdDSA, w.signer.key(), "k", said(func(c object) { c["iss"] = url })))
		if took := time.Since(began); fault.KindOf(err) != fault.Unavailable || took != askTime {
			t.Errorf("answered %v after %v", err, took)
		}
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
