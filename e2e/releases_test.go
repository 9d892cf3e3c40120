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
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
)

var before = flag.String("old", "", "the command of the release before, to be run beside this one; empty = this one on both sides")

// mixture is a Keytrail of two releases on one Postgres, two of each part: the release before is first. Each auth
// service sends its rows to the log service of the other release.
type mixture struct {
	t *testing.T
	// stands hold an auth service of one release and the log service that it sends to, of the other.
	stands   [2]*stand
	gateways [2]*daemon
	// rest is where the gateways listen.
	rest [2]string
	// checks calls both auth services in turn, so that a report may reach another one than its check.
	checks authv1.CheckServiceClient
	viewer string
}

// newMixture makes a mixture that is down.
func newMixture(t *testing.T) *mixture {
	t.Helper()
	m := &mixture{t: t}
	commands := [2]string{cmp.Or(*before, binary(t)), binary(t)}
	if !filepath.IsAbs(commands[0]) {
		t.Fatalf("-old %s: a test runs in the folder of its package, so the path must be absolute", *before)
	}
	postgres := pgtest.Private(t)
	database, logsAddrs := postgres.URL("postgres"), [2]string{stableAddr(t), stableAddr(t)}
	signer, keyFile := newSigner(t)
	m.viewer = token(t, signer, access.Viewer, access.AllWorkspaces)
	for i := range m.stands {
		s := &stand{t: t, postgres: postgres, authAddr: stableAddr(t), trailDir: filepath.Join(t.TempDir(), "trail")}
		s.logs = newDaemonOf(t, commands[1-i], "logsvc", stableAddr(t), "--database-url", database, "--logs-addr", logsAddrs[i], "--token-keys", keyFile)
		s.auth = newDaemonOf(t, commands[i], "authsvc", stableAddr(t), "--database-url", database, "--auth-addr", s.authAddr,
			"--logs-addr", logsAddrs[i], "--trail-dir", s.trailDir, "--token-keys", keyFile, "--signing-key", keyFile)
		s.connect(signer, logsAddrs[i])
		m.rest[i] = stableAddr(t)
		m.gateways[i] = newDaemonOf(t, commands[i], "gateway", stableAddr(t), "--gateway-addr", m.rest[i],
			"--auth-addr", s.authAddr, "--logs-addr", logsAddrs[i], "--token-keys", keyFile)
		m.stands[i] = s
	}
	m.checks = authv1.NewCheckServiceClient(m.dialBoth(signer))
	return m
}

// dialBoth makes a connection that calls both auth services in turn.
func (m *mixture) dialBoth(signer *access.Signer) *grpc.ClientConn {
	m.t.Helper()
	both := manual.NewBuilderWithScheme("both")
	both.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: m.stands[0].authAddr}, {Addr: m.stands[1].authAddr}}})
	return dial(m.t, "both:///", grpc.WithResolvers(both), callersWith(m.t, signer),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`))
}

// start brings up the parts of the release before, and then those of this one, which find a database in use.
func (m *mixture) start() {
	m.t.Helper()
	old, now := m.stands[0], m.stands[1]
	for _, d := range []*daemon{now.logs, old.auth, m.gateways[0], old.logs, now.auth, m.gateways[1]} {
		if err := d.up(); err != nil {
			m.t.Fatal(err)
		}
		d.awaitReady()
	}
}

// restartOld kills the services of the release before, which then find the schema of this one.
func (m *mixture) restartOld() {
	m.t.Helper()
	for _, d := range []*daemon{m.stands[1].logs, m.stands[0].auth} {
		if err := errors.Join(d.down(), d.up()); err != nil {
			m.t.Fatal(err)
		}
		d.awaitReady()
	}
}

// kinds are calls with keys that were made by either release, and in force on both.
func (m *mixture) kinds() []kind {
	m.t.Helper()
	kinds := strangers()
	for _, s := range m.stands {
		kinds = append(kinds, s.kinds()...)
	}
	for _, s := range m.stands {
		for _, k := range kinds {
			probe := proto.CloneOf(k.call)
			probe.Endpoint = "/probe"
			var last *authv1.CheckResponse
			await(m.t, patience, func() bool {
				var err error
				last, err = s.checks.Check(m.t.Context(), probe)
				return err == nil && last.GetDenial().GetCode() == k.code
			}, func() any { return last })
		}
	}
	return kinds
}

// restList is a log service as its gateway shows it.
type restList struct {
	logsv1.LogServiceClient
	t           *testing.T
	addr, token string
}

// ListRequestLogs answers a page of REST.
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

// listed answers the rows of the load as every door lists them, by its name.
func (m *mixture) listed() map[string][]*logsv1.RequestLog {
	m.t.Helper()
	rows := map[string][]*logsv1.RequestLog{}
	for door, list := range map[string]logsv1.LogServiceClient{
		"the old log service": m.stands[1].list, "the old gateway": restList{t: m.t, addr: m.rest[0], token: m.viewer},
		"the new log service": m.stands[0].list, "the new gateway": restList{t: m.t, addr: m.rest[1], token: m.viewer},
	} {
		for _, workspace := range []string{"acme", "_unattributed"} {
			rows[door] = append(rows[door], walk(m.t, list, &logsv1.ListRequestLogsRequest{WorkspaceId: workspace, Endpoint: "/LOAD/"})...)
		}
	}
	return rows
}

// browse lists through every door while rows come in, and expects that none goes.
func (m *mixture) browse(working context.Context) {
	m.t.Helper()
	seen := map[string]int{}
	for range 2 {
		pause(working, time.Second)
		for door, rows := range m.listed() {
			if len(rows) < seen[door] {
				m.t.Errorf("%s lists %d rows after %d", door, len(rows), seen[door])
			}
			seen[door] = len(rows)
		}
	}
}

// settle waits until all rows are stored, and compares what every door lists with the calls.
func (m *mixture) settle(calls ledger, seed uint64) {
	m.t.Helper()
	for _, s := range m.stands {
		awaitShipped(m.t, s.auth.ops)
		s.expectCleanTrail()
	}
	for door, rows := range m.listed() {
		v := calls.compare(rows)
		m.t.Logf("%s: %v", door, v)
		v.expectWhole(m.t, seed)
	}
}

// TestTwoReleasesSideBySide is for releases: without -old it holds the mixture of one release alone.
func TestTwoReleasesSideBySide(t *testing.T) {
	t.Parallel()
	m, seed := newMixture(t), newSeed(t)
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
