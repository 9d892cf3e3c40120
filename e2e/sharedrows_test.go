package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// TestUnprovedCallsShareRows sends many calls that prove no key, from concurrent callers.
func TestUnprovedCallsShareRows(t *testing.T) {
	t.Parallel()
	const callers, callsEach, rowsPerSecond = 20, 150, 5
	p := startProcess(t, t.TempDir(), fmt.Sprint("--stranger-rows-per-second=", rowsPerSecond))
	conn := dial(t, p.auth, p.credentials())
	checks := authv1.NewCheckServiceClient(conn)
	_, err := authv1.NewKeyServiceClient(conn).CreateKey(t.Context(), &authv1.CreateKeyRequest{
		WorkspaceId: "acme", Key: &authv1.Key{Name: "k", Scopes: []string{"agent"}, AllAgents: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var mu sync.Mutex
	answered := map[string]bool{} // by row id
	group, ctx := errgroup.WithContext(t.Context())
	for caller := range callers {
		group.Go(func() error {
			for i := range callsEach {
				answer, err := checks.Check(ctx, &authv1.CheckRequest{
					ApiKey: "sk_unknown", AgentType: "agent", Endpoint: fmt.Sprintf("/%d/%d", caller, i), WorkspaceId: "acme",
				})
				if err != nil {
					return err
				}
				if answer.GetDenial().GetCode() != "invalid_token" {
					return fmt.Errorf("unexpected result of an unproved call: %v", answer)
				}
				mu.Lock()
				answered[answer.GetRequestLogId()] = true
				mu.Unlock()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	// The burst of ten seconds, then the rows of each second and its shared row.
	most := 10*rowsPerSecond + (rowsPerSecond+1)*(int(time.Since(began)/time.Second)+2)

	var rows map[string]int
	calls := 0
	p.await(func() bool {
		rows, calls = p.callCounts("acme"), 0
		for _, n := range rows {
			calls += n
		}
		return calls >= callers*callsEach
	}, func() any { return fmt.Sprintf("%d rows of %d calls", len(rows), calls) })
	if calls != callers*callsEach || len(rows) > most || len(rows) <= 10*rowsPerSecond {
		t.Errorf("%d rows stand for %d calls, want %d to %d rows for %d", len(rows), calls, 10*rowsPerSecond+1, most, callers*callsEach)
	}
	for id := range answered {
		if rows[id] == 0 {
			t.Errorf("no row has the id %s that a check returned", id)
		}
	}
	for id, n := range rows {
		if !answered[id] {
			t.Errorf("the row %s of %d calls belongs to no check", id, n)
		}
	}
}

// callCounts returns the call count of each row of a workspace, over REST.
func (p *process) callCounts(workspace string) map[string]int {
	p.t.Helper()
	resp := send(p.t, http.MethodGet, "http://"+p.rest+"/v1/workspaces/"+workspace+"/request-logs?page_size=1000", p.token(access.Viewer, access.AllWorkspaces), nil)
	defer resp.Body.Close()
	var answer struct {
		RequestLogs []struct {
			ID        string
			CallCount int
		}
		NextPageToken string
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.NextPageToken != "" {
		p.t.Fatalf("a page of all rows: HTTP %d, %v, next page %q", resp.StatusCode, err, answer.NextPageToken)
	}
	rows := map[string]int{}
	for _, row := range answer.RequestLogs {
		rows[row.ID] = row.CallCount
	}
	return rows
}
