package gateway

import (
	"testing"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// TestBadTokensLockNobodyOut sends many bad tokens through the gateway, which is one address to the services: a new
// token must pass at once.
func TestBadTokensLockNobodyOut(t *testing.T) {
	signer, err := access.NewSigner()
	must(t, err)
	handler, _ := newGatewayOf(t, Config{}, accesstest.Gate(t, signer))
	const path = "/v1/workspaces/acme/keys/" + keyID
	for i := range 2000 {
		if answer := send(handler, "GET", path, "", "Authorization", "Bearer bad"); answer.Code != 401 {
			t.Fatalf("bad token %d: %d %s", i, answer.Code, answer.Body)
		}
	}
	if answer := send(handler, "GET", path, "", "Authorization", bearer(t, signer, access.Viewer)); answer.Code != 200 {
		t.Errorf("a new token from the same address: %d %s", answer.Code, answer.Body)
	}
}
