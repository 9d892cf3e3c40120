package browser

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	clientID = "keytrail-console"
	keyID    = "k1"
)

// issuer is an OpenID Connect issuer that signs everybody in, as a viewer of one workspace.
type issuer struct {
	t         *testing.T
	server    *httptest.Server
	key       ed25519.PrivateKey
	workspace string

	mu sync.Mutex
	// pending are the authorization requests by their codes.
	pending map[string]url.Values
	// errors are what was wrong with the console's requests.
	errors []string
	signIn int // how many were completed
}

func startIssuer(t *testing.T, workspace string) *issuer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key, workspace: workspace, pending: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /keys", i.keys)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	i.server = httptest.NewUnstartedServer(mux)
	i.server.Start() // the handlers read i.server
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) reply(w http.ResponseWriter, body any) {
	w.Header().Set("Access-Control-Allow-Origin", "*") // a public client sends no cookies
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		i.t.Error(err)
	}
}

func (i *issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	at := i.server.URL
	i.reply(w, object{
		"issuer": at, "jwks_uri": at + "/keys", "authorization_endpoint": at + "/authorize", "token_endpoint": at + "/token",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"EdDSA"}, "code_challenge_methods_supported": []string{"S256"},
	})
}

func (i *issuer) keys(w http.ResponseWriter, _ *http.Request) {
	i.reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: keyID, Use: "sig", Algorithm: "EdDSA"}}})
}

// authorize returns to the console at once with a code, as if the person had signed in before.
func (i *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	query, code := r.URL.Query(), rand.Text()
	i.mu.Lock()
	for name, want := range map[string]string{"response_type": "code", "client_id": clientID, "code_challenge_method": "S256"} {
		if got := query.Get(name); got != want {
			i.errors = append(i.errors, name+" is "+got)
		}
	}
	i.pending[code] = query
	i.mu.Unlock()
	back, err := url.Parse(query.Get("redirect_uri"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	back.RawQuery = url.Values{"code": {code}, "state": {query.Get("state")}, "iss": {i.server.URL}}.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token exchanges a code for tokens. A code is good once.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	asked, ok := i.pending[r.PostFormValue("code")]
	delete(i.pending, r.PostFormValue("code"))
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case !ok:
		i.errors = append(i.errors, "the code is not known")
	case base64.RawURLEncoding.EncodeToString(challenge[:]) != asked.Get("code_challenge"):
		i.errors = append(i.errors, "the code verifier does not match the challenge")
	case r.PostFormValue("redirect_uri") != asked.Get("redirect_uri"):
		i.errors = append(i.errors, "the redirect URI differs")
	default:
		i.signIn++
		i.reply(w, object{
			"token_type": "Bearer", "expires_in": 600,
			"access_token": i.sign("keytrail", ""), "id_token": i.sign(clientID, asked.Get("nonce")),
		})
		return
	}
	http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
}

// sign returns a token for an audience.
func (i *issuer) sign(audience, nonce string) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: i.key, KeyID: keyID}}, nil)
	if err != nil {
		i.t.Error(err)
		return ""
	}
	claims := object{
		"iss": i.server.URL, "sub": "person-1", "aud": audience,
		"iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
		"role": "viewer", "workspaces": []string{i.workspace},
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		i.t.Error(err)
	}
	return text
}

// expectSignIns checks how many people signed in, and that no request of the console was wrong.
func (i *issuer) expectSignIns(want int) {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.signIn != want || len(i.errors) > 0 {
		i.t.Errorf("the issuer saw %d sign-ins, want %d; errors %q", i.signIn, want, i.errors)
	}
}
