package keytrailtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/keytrail/keytrail/client"
	"github.com/keytrail/keytrail/client/keytrailtest"
)

// TestHandler is what a test of a backend looks like.
func TestHandler(t *testing.T) {
	keytrail := keytrailtest.Start(t)
	handler := keytrail.Client().HTTPMiddleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := client.IdentityFromContext(r.Context())
		fmt.Fprint(w, caller.WorkspaceID)
	}))
	request := httptest.NewRequest(http.MethodPost, "/v1/agents/a1/run", nil)
	request.Header.Set("api-key", keytrail.CreateKey("acme", nil))
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	if response.Code != http.StatusOK || response.Body.String() != "acme" {
		t.Errorf("%d %s", response.Code, response.Body)
	}
	if row := keytrail.AwaitRequestLogs("acme", 1)[0]; row.GetStatus() != http.StatusOK || row.GetAgentId() != "a1" {
		t.Errorf("row %v", row)
	}
}
