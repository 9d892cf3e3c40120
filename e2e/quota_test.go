package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

const (
	quotaKeys = 3
	// quotaBytes is what three keys of quotaKey take, and room for one more agent of 100 characters.
	quotaBytes = quotaKeys*(1+5+100+5*32) + 132
)

// quotaKey returns a key with an allowlist of one agent of 100 characters.
func quotaKey() *authv1.Key {
	return &authv1.Key{Name: "k", Scopes: []string{"agent"}, AgentIds: []string{quotaAgent(0)}}
}

func quotaAgent(n int) string { return fmt.Sprintf("%0100d", n) }

func TestAdminOfAWorkspaceCannotExceedItsQuota(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), fmt.Sprintf("--max-keys-per-workspace=%d", quotaKeys), fmt.Sprintf("--max-key-bytes-per-workspace=%d", quotaBytes))
	acme := authv1.NewKeyServiceClient(dial(t, p.auth, p.credentials("acme")))
	globex := authv1.NewKeyServiceClient(dial(t, p.auth, p.credentials("globex")))
	for range 2 * quotaKeys {
		_, err := acme.CreateKey(t.Context(), &authv1.CreateKeyRequest{WorkspaceId: "acme", Key: quotaKey()})
		if err != nil {
			expectQuota(t, err, "keys", quotaKeys)
		}
		p.postKeys("/v1/workspaces/acme/keys", object{"name": "k", "scopes": []string{"agent"}, "agentIds": []string{quotaAgent(0)}}, "keys")
	}
	keys := listedKeys(t, acme, "acme")
	if len(keys) != quotaKeys {
		t.Fatalf("the workspace has %d keys, and a quota of %d", len(keys), quotaKeys)
	}

	for n := range 5 {
		_, err := acme.AddKeyAgents(t.Context(), &authv1.AddKeyAgentsRequest{WorkspaceId: "acme", KeyId: keys[0].GetId(), AgentIds: []string{quotaAgent(1 + n)}})
		if err != nil {
			expectQuota(t, err, "bytes", quotaBytes)
		}
		p.postKeys("/v1/workspaces/acme/keys/"+keys[1].GetId()+":addAgents", object{"agentIds": []string{quotaAgent(1 + n)}}, "bytes")
	}
	agents := 0
	for _, key := range listedKeys(t, acme, "acme") {
		agents += len(key.GetAgentIds())
	}
	if agents != quotaKeys+1 {
		t.Errorf("the keys have %d agents, and the quota has room for %d", agents, quotaKeys+1)
	}

	if _, err := globex.CreateKey(t.Context(), &authv1.CreateKeyRequest{WorkspaceId: "globex", Key: quotaKey()}); err != nil {
		t.Errorf("another workspace: %v", err)
	}
	if _, err := acme.DeleteKey(t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: "acme", KeyId: keys[0].GetId()}); err != nil {
		t.Error(err)
	}
	if _, err := acme.CreateKey(t.Context(), &authv1.CreateKeyRequest{WorkspaceId: "acme", Key: quotaKey()}); err != nil {
		t.Errorf("after a key was deleted: %v", err)
	}
}

func listedKeys(t *testing.T, client authv1.KeyServiceClient, workspace string) []*authv1.Key {
	t.Helper()
	page, err := client.ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: workspace, PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return page.GetKeys()
}

// expectQuota expects the error of a quota, which names the limit, its value and the flag, and no time to try again.
func expectQuota(t *testing.T, err error, limit string, value int) {
	t.Helper()
	details := status.Convert(err).Details()
	info, ok := details[0].(*errdetails.ErrorInfo)
	flag := map[string]string{"keys": "--max-keys-per-workspace", "bytes": "--max-key-bytes-per-workspace"}[limit]
	if !ok || status.Code(err) != codes.ResourceExhausted || info.GetReason() != "KEY_QUOTA_EXCEEDED" || len(details) != 1 ||
		info.GetMetadata()["limit"] != limit || info.GetMetadata()["value"] != fmt.Sprint(value) || info.GetMetadata()["flag"] != flag ||
		!strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), fmt.Sprint(value)) {
		t.Errorf("error %v with the details %v, want the quota of %d %s", err, details, value, limit)
	}
}

// postKeys sends a request over REST, which must succeed or exceed a quota.
func (p *process) postKeys(path string, body object, limit string) {
	p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	response := send(p.t, "POST", "http://"+p.rest+path, p.token(access.Admin, "acme"), strings.NewReader(string(text)))
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK {
		return
	}
	if response.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(answer), "KEY_QUOTA_EXCEEDED") ||
		!strings.Contains(string(answer), `"limit":"`+limit+`"`) || response.Header.Get("Retry-After") != "" {
		p.t.Errorf("POST %s: %d %s, want the quota of %s", path, response.StatusCode, answer, limit)
	}
}
