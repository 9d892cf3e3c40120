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

	"github.com/keytrail/keytrail/authsvc"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// quotaKeys is how many keys a workspace can have.
const quotaKeys = 3

// quotaAgent returns an id of 100 characters.
func quotaAgent(n int) string { return fmt.Sprintf("%0100d", n) }

// quotaBytes has room for these keys, and for one agent more.
func quotaBytes() int64 {
	key := authsvc.Key{Name: "k", Scopes: []string{"agent"}, AgentIDs: []string{quotaAgent(0)}}
	size := key.Size()
	key.AgentIDs = append(key.AgentIDs, quotaAgent(1))
	return (quotaKeys-1)*size + key.Size()
}

// quotaAdmin changes the keys of one workspace.
type quotaAdmin struct {
	*process
	workspace string
	keys      authv1.KeyServiceClient
}

func TestAdminOfAWorkspaceCannotExceedItsQuota(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), fmt.Sprint("--max-keys-per-workspace=", quotaKeys), fmt.Sprint("--max-key-bytes-per-workspace=", quotaBytes()))
	admin := func(workspace string) quotaAdmin {
		return quotaAdmin{p, workspace, authv1.NewKeyServiceClient(dial(t, p.auth, p.credentials(workspace)))}
	}
	acme, globex := admin("acme"), admin("globex")
	for range 2 * quotaKeys {
		expectQuota(t, acme.create(), "keys", quotaKeys)
		acme.post("", object{"name": "k", "scopes": []string{"agent"}, "agentIds": []string{quotaAgent(0)}}, "keys")
	}
	keys, _ := acme.list()
	if len(keys) != quotaKeys {
		t.Fatalf("the workspace has %d keys, and a quota of %d", len(keys), quotaKeys)
	}
	for n := range 5 {
		expectQuota(t, acme.add(keys[0], quotaAgent(n+1)), "bytes", quotaBytes())
		acme.post("/"+keys[1]+":addAgents", object{"agentIds": []string{quotaAgent(n + 1)}}, "bytes")
	}
	if _, agents := acme.list(); agents != quotaKeys+1 {
		t.Errorf("the keys have %d agents, and the quota has room for %d", agents, quotaKeys+1)
	}
	if err := globex.create(); err != nil {
		t.Errorf("another workspace: %v", err)
	}
	acme.delete(keys[0])
	if err := acme.create(); err != nil {
		t.Errorf("after a key was deleted: %v", err)
	}
}

func (a quotaAdmin) create() error {
	key := &authv1.Key{Name: "k", Scopes: []string{"agent"}, AgentIds: []string{quotaAgent(0)}}
	_, err := a.keys.CreateKey(a.t.Context(), &authv1.CreateKeyRequest{WorkspaceId: a.workspace, Key: key})
	return err
}

func (a quotaAdmin) add(id, agent string) error {
	request := &authv1.AddKeyAgentsRequest{WorkspaceId: a.workspace, KeyId: id, AgentIds: []string{agent}}
	_, err := a.keys.AddKeyAgents(a.t.Context(), request)
	return err
}

func (a quotaAdmin) delete(id string) {
	a.t.Helper()
	if _, err := a.keys.DeleteKey(a.t.Context(), &authv1.DeleteKeyRequest{WorkspaceId: a.workspace, KeyId: id}); err != nil {
		a.t.Fatal(err)
	}
}

// list returns the ids of all keys, and how many agents they have together.
func (a quotaAdmin) list() (ids []string, agents int) {
	a.t.Helper()
	page, err := a.keys.ListKeys(a.t.Context(), &authv1.ListKeysRequest{WorkspaceId: a.workspace, PageSize: 1000})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, key := range page.GetKeys() {
		ids, agents = append(ids, key.GetId()), agents+len(key.GetAgentIds())
	}
	return ids, agents
}

// expectQuota expects success, or the error of a quota: with the limit, its value and the flag, and no time to try again.
func expectQuota(t *testing.T, err error, limit string, value int64) {
	t.Helper()
	if err == nil {
		return
	}
	details := status.Convert(err).Details()
	info, _ := details[0].(*errdetails.ErrorInfo)
	flag := map[string]string{"keys": "--max-keys-per-workspace", "bytes": "--max-key-bytes-per-workspace"}[limit]
	want := map[string]string{"limit": limit, "value": fmt.Sprint(value), "flag": flag}
	if status.Code(err) != codes.ResourceExhausted || info.GetReason() != "KEY_QUOTA_EXCEEDED" || len(details) != 1 ||
		fmt.Sprint(info.GetMetadata()) != fmt.Sprint(want) || !strings.Contains(err.Error(), fmt.Sprint(value, " ", limit, " (", flag)) {
		t.Errorf("error %v with the details %v, want the quota %v", err, details, want)
	}
}

// post sends a request over REST, which must succeed or exceed a quota.
func (a quotaAdmin) post(path string, body object, limit string) {
	a.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	url := "http://" + a.rest + "/v1/workspaces/" + a.workspace + "/keys" + path
	response := send(a.t, "POST", url, a.token(access.Admin, a.workspace), strings.NewReader(string(text)))
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK {
		return
	}
	if response.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(answer), "KEY_QUOTA_EXCEEDED") ||
		!strings.Contains(string(answer), `"limit":"`+limit+`"`) || response.Header.Get("Retry-After") != "" {
		a.t.Errorf("POST %s: %d %s, want the quota of %s", path, response.StatusCode, answer, limit)
	}
}
