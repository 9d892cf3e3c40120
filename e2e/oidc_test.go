package e2e

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/internal/access"
)

// startIssuer starts an OIDC issuer with one key.
func startIssuer(t *testing.T, key *access.Signer) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for path, answer := range map[string]any{
		"/.well-known/openid-configuration": object{"issuer": server.URL, "jwks_uri": server.URL + "/keys"},
		"/keys":                             jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Use: "sig"}}},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(answer) })
	}
	return server.URL
}

// privateKey returns the key of a signer, to sign claims that access.Signer does not support.
func privateKey(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestTokensOfAnOIDCIssuerAreAccepted calls with tokens of an OIDC issuer, whose claims decide the access.
func TestTokensOfAnOIDCIssuerAreAccepted(t *testing.T) {
	t.Parallel()
	key, file := newSigner(t)
	issuer := startIssuer(t, key)
	private := privateKey(t, file)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	config := serveConfig(t.TempDir())
	config.OIDCIssuers, config.OIDCRoleClaim = []string{issuer}, "https://example.com/role"
	server, err := app.NewServer(t.Context(), config, slog.New(slog.DiscardHandler), time.Now)
	s := &system{t: t, server: runServer(t, server, err)}
	for _, c := range []struct {
		audience, workspace string
		status              int
	}{{"keytrail", "acme", 200}, {"keytrail", "globex", 403}, {"billing", "acme", 401}} {
		expires := time.Now().Add(time.Minute)
		token, err := jwt.Signed(signer).Claims(object{
			"iss": issuer, "aud": c.audience, "exp": expires.Unix(),
			"https://example.com/role": "viewer", "workspaces": []string{c.workspace},
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		status, answer := s.restAs(token, "GET", "/v1/workspaces/acme/keys", nil)
		// The issuer's keys are fetched in the background.
		for began := time.Now(); status == http.StatusServiceUnavailable && time.Since(began) < waitTimeout; {
			<-time.After(10 * time.Millisecond)
			status, answer = s.restAs(token, "GET", "/v1/workspaces/acme/keys", nil)
		}
		if status != c.status {
			t.Errorf("for %v: HTTP %d %v", c, status, answer)
		}
		status, session := s.restAs(token, "GET", "/v1/session", nil)
		want := object{
			"role": "viewer", "allWorkspaces": false, "workspaceIds": []any{c.workspace}, "nextPageToken": "",
			"expireTime": expires.UTC().Format(time.RFC3339),
		}
		if valid := c.audience == "keytrail"; (status == http.StatusOK) != valid || valid && !cmp.Equal(session, want) {
			t.Errorf("the session of %v: HTTP %d %v, want %v", c, status, session, want)
		}
	}
}
