package e2e

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

var oldCommand = flag.String("old", "", "absolute path of the command of the previous release; empty to test this release on both sides")

// mixedReleases is a deployment of two releases on one Postgres, with one of each service per release. Index 0 is the
// previous release. Each auth service sends its rows to the log service of the other release.
type mixedReleases struct {
	t *testing.T
	// clusters each have an auth service of one release and the log service of the other.
	clusters [2]*cluster
	gateways [2]*daemon
	// rest are the addresses of the gateways.
	rest [2]string
	// checks calls both auth services in turn, so a report may reach another service than its check.
	checks authv1.CheckServiceClient
	viewer string
}

// newMixedReleases returns a deployment that is not started.
func newMixedReleases(t *testing.T) *mixedReleases {
	t.Helper()
	m := &mixedReleases{t: t}
	commands := [2]string{cmp.Or(*oldCommand, binary(t)), binary(t)}
	if !filepath.IsAbs(commands[0]) {
		t.Fatalf("-old %s: the path must be absolute", *oldCommand)
	}
	postgres := pgtest.Private(t)
	database, logsAddrs := postgres.URL("postgres"), [2]string{stableAddr(t), stableAddr(t)}
	signer, keyFile := newSigner(t)
	m.viewer = token(t, signer, access.Viewer, access.AllWorkspaces)
	for i := range m.clusters {
		s := &cluster{t: t, postgres: postgres, authAddr: stableAddr(t), trailDir: filepath.Join(t.TempDir(), "trail")}
		s.logs = newDaemonOf(t, commands[1-i], "logsvc", stableAddr(t), "--database-url", database, "--logs-addr", logsAddrs[i], "--token-keys", keyFile)
		s.auth = newDaemonOf(t, commands[i], "authsvc", stableAddr(t), "--database-url", database, "--auth-addr", s.authAddr,
			"--logs-addr", logsAddrs[i], "--trail-dir", s.trailDir, "--token-keys", keyFile, "--signing-key", keyFile)
		s.connect(signer, logsAddrs[i])
		m.rest[i] = stableAddr(t)
		m.gateways[i] = newDaemonOf(t, commands[i], "gateway", stableAddr(t), "--gateway-addr", m.rest[i],
			"--auth-addr", s.authAddr, "--logs-addr", logsAddrs[i], "--token-keys", keyFile)
		m.clusters[i] = s
	}
	m.checks = authv1.NewCheckServiceClient(dialAll(t, []string{m.clusters[0].authAddr, m.clusters[1].authAddr}, credentialsFrom(t, signer)))
	return m
}

// start starts the services of the previous release, then those of this one on the database in use.
func (m *mixedReleases) start() {
	m.t.Helper()
	old, now := m.clusters[0], m.clusters[1]
	for _, d := range []*daemon{now.logs, old.auth, m.gateways[0], old.logs, now.auth, m.gateways[1]} {
		if err := d.up(); err != nil {
			m.t.Fatal(err)
		}
		d.awaitReady()
	}
}

// restartOld restarts the services of the previous release on the schema of this one.
func (m *mixedReleases) restartOld() {
	m.t.Helper()
	for _, d := range []*daemon{m.clusters[1].logs, m.clusters[0].auth} {
		if err := errors.Join(d.down(), d.up()); err != nil {
			m.t.Fatal(err)
		}
		d.awaitReady()
	}
}

// kinds returns calls with keys that either release created and both know.
func (m *mixedReleases) kinds() []kind {
	m.t.Helper()
	kinds := unprovedKinds()
	for _, s := range m.clusters {
		kinds = append(kinds, s.kinds()...)
	}
	for _, s := range m.clusters {
		s.awaitKinds(kinds)
	}
	return kinds
}

// restList lists request logs over REST.
type restList struct {
	logsv1.LogServiceClient
	t           *testing.T
	addr, token string
}

// ListRequestLogs returns a page from the gateway.
func (r restList) ListRequestLogs(ctx context.Context, in *logsv1.ListRequestLogsRequest, _ ...grpc.CallOption) (*logsv1.ListRequestLogsResponse, error) {
	query := url.Values{"endpoint": {in.GetEndpoint()}, "page_size": {fmt.Sprint(in.GetPageSize())}, "page_token": {in.GetPageToken()}}
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.addr+"/v1/workspaces/"+in.GetWorkspaceId()+"/request-logs?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	resp, err := doREST(r.t, http.DefaultClient, req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list: %d %s %w", resp.StatusCode, text, err)
	}
	page := &logsv1.ListRequestLogsResponse{}
	return page, protojson.Unmarshal(text, page)
}

// listed returns the rows of the load as each log service and gateway lists them.
func (m *mixedReleases) listed() map[string][]*logsv1.RequestLog {
	m.t.Helper()
	rows := map[string][]*logsv1.RequestLog{}
	for name, list := range map[string]logsv1.LogServiceClient{
		"previous log service": m.clusters[1].list, "previous gateway": restList{t: m.t, addr: m.rest[0], token: m.viewer},
		"new log service": m.clusters[0].list, "new gateway": restList{t: m.t, addr: m.rest[1], token: m.viewer},
	} {
		for _, workspace := range []string{"acme", "_unattributed"} {
			rows[name] = append(rows[name], walk(m.t, list, &logsv1.ListRequestLogsRequest{WorkspaceId: workspace, Endpoint: "/LOAD/"})...)
		}
	}
	return rows
}

// browse lists rows everywhere while new ones arrive, and expects none to disappear.
func (m *mixedReleases) browse(working context.Context) {
	m.t.Helper()
	seen := map[string]int{}
	for range 2 {
		pause(working, time.Second)
		for name, rows := range m.listed() {
			if len(rows) < seen[name] {
				m.t.Errorf("%s lists %d rows, before %d", name, len(rows), seen[name])
			}
			seen[name] = len(rows)
		}
	}
}

// settle waits until all rows are stored, and compares each list with the calls.
func (m *mixedReleases) settle(calls history, seed uint64) {
	m.t.Helper()
	for _, s := range m.clusters {
		awaitShipped(m.t, s.auth.ops)
		s.expectCleanTrail()
	}
	for name, rows := range m.listed() {
		v := calls.compare(rows)
		m.t.Logf("%s: %v", name, v)
		v.expectComplete(m.t, seed)
	}
}

// TestTwoReleasesSideBySide is for releases. Without -old both sides run this release.
func TestTwoReleasesSideBySide(t *testing.T) {
	t.Parallel()
	m, seed := newMixedReleases(t), newSeed(t)
	m.start()
	l := &load{checks: m.checks, kinds: m.kinds(), clients: 4, every: 20 * time.Millisecond, seed: seed, reports: true, same: true}
	working, stop := l.start(t)
	m.browse(working)
	m.restartOld()
	m.browse(working)
	calls, err := stop()
	if err != nil {
		t.Fatalf("-seed %d: %v", seed, err)
	}
	m.settle(calls, seed)
}
