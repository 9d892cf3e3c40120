package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/keytrail/keytrail/internal/access"
)

// TestSessionListsWorkspacesWithKeysOrRequestLogs over REST, for tokens for all workspaces whose role may read them.
func TestSessionListsWorkspacesWithKeysOrRequestLogs(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	s.createKey("acme", "k", nil)
	s.createKey("hooli", "k", nil)
	checked := s.ok("POST", "/v1/check", object{"agentType": "agent", "workspaceId": "globex"})
	s.row("globex", checked["requestLogId"].(string), exists)
	for _, tt := range []struct {
		role access.Role
		want []string
	}{
		{access.Admin, []string{"acme", "globex", "hooli"}}, {access.Viewer, []string{"acme", "globex", "hooli"}},
		{access.Checker, nil}, {access.Ingester, nil},
	} {
		var got []string
		for page := ""; ; {
			status, session := s.restAs(s.token(tt.role, access.AllWorkspaces), "GET", "/v1/session?pageSize=2&pageToken="+page, nil)
			if status != http.StatusOK || session["role"] != string(tt.role) || session["allWorkspaces"] != true {
				t.Fatalf("HTTP %d %v", status, session)
			}
			for _, id := range session["workspaceIds"].([]any) {
				got = append(got, id.(string))
			}
			if page, _ = session["nextPageToken"].(string); page == "" {
				break
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("the workspaces of the %s are %v, want %v", tt.role, got, tt.want)
		}
	}
}
