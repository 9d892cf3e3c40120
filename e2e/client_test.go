package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	ktclient "github.com/keytrail/keytrail/client"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
)

// serveCalls serves handleCall behind the middleware of a client. Its checks may take longer than by default: the machine may be
// slow.
func serveCalls(t *testing.T, addr, token string, options ...ktclient.Option) (url string, kt *ktclient.Client) {
	t.Helper()
	kt, err := ktclient.New(addr, append(options, ktclient.WithToken(token), ktclient.WithCheckTimeout(waitTimeout))...)
	must(t, err)
	server := httptest.NewServer(kt.HTTPMiddleware(http.HandlerFunc(handleCall)))
	t.Cleanup(server.Close)
	return server.URL, kt
}

func closeClient(t *testing.T, kt *ktclient.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	must(t, kt.Close(ctx))
}

// pathRows are rows by their paths.
type pathRows map[string]*logsv1.RequestLog

// rowsByPath waits for rows as want wants them, and returns them. No path has two.
func rowsByPath(t *testing.T, list logsv1.LogServiceClient, want func(pathRows) bool) (found pathRows) {
	t.Helper()
	await(t, waitTimeout, func() bool {
		found = pathRows{}
		for _, row := range walk(t, list, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"}) {
			if found[row.GetEndpoint()] != nil {
				t.Fatalf("%s has two rows", row.GetEndpoint())
			}
			found[row.GetEndpoint()] = row
		}
		return want(found)
	}, func() any { return fmt.Sprintf("%d rows", len(found)) })
	return found
}

// allReported returns a condition: every call that has this status has a reported row with it.
func allReported(calls map[string]int, status int) func(pathRows) bool {
	return func(rows pathRows) bool {
		for path, got := range calls {
			if row := rows[path]; got == status && (row.GetStatus() != int32(status) || row.LatencyMs == nil) {
				return false
			}
		}
		return true
	}
}

func TestBackendThatIsStoppedReportsEveryCall(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	b := startBackend(t, s, s.createKey("acme", "k", nil).secret)
	load := startCalls(t, b.call)
	load.awaitCalls(500)
	must(t, b.cmd.Process.Signal(syscall.SIGTERM))
	must(t, b.cmd.Wait())
	calls := load.stop()
	for path, status := range calls {
		if status != http.StatusAccepted {
			t.Errorf("%s got %d", path, status)
		}
	}
	rows := rowsByPath(t, s.logs, allReported(calls, http.StatusAccepted))
	for path, row := range rows {
		if row.LatencyMs == nil {
			t.Errorf("%s was not reported", path)
		}
	}
	if len(calls) < 500 || len(rows) < len(calls) {
		t.Errorf("%d calls have %d rows", len(calls), len(rows))
	}
}

func TestCallsOfABackendThatIsKilledStayInProgress(t *testing.T) {
	t.Parallel()
	const stuck = 20
	s := start(t, t.TempDir(), time.Now)
	b := startBackend(t, s, s.createKey("acme", "k", nil).secret)
	load := startCalls(t, b.call)
	load.awaitCalls(100)
	for i := range stuck {
		if status := b.call(fmt.Sprintf("/v1/agents/%d/stuck", i)); status != http.StatusAccepted {
			t.Fatalf("status %d", status)
		}
	}
	// Reports of later calls are sent, so the others could have been sent, too.
	last := map[string]int{"/v1/agents/last": b.call("/v1/agents/last")}
	rowsByPath(t, s.logs, allReported(last, http.StatusAccepted))
	must(t, b.cmd.Process.Kill())
	_ = b.cmd.Wait() // it reports the signal
	calls := load.stop()
	rows := rowsByPath(t, s.logs, func(rows pathRows) bool {
		for path := range calls {
			if rows[path] == nil {
				return false
			}
		}
		return len(rows) >= len(calls)+stuck
	})
	for i := range stuck {
		if row := rows[fmt.Sprintf("/v1/agents/%d/stuck", i)]; row == nil || row.GetStatus() != 0 || row.LatencyMs != nil {
			t.Errorf("call %d has the row %v", i, row)
		}
	}
}

// handledChecks is the metric of checks that were decided.
const handledChecks = `grpc_server_handled_total{` +
	`grpc_code="OK",grpc_method="Check",grpc_service="keytrail.auth.v1.CheckService",grpc_type="unary"}`

// TestCallHasOneRowWhenConnectionsAreCut sends checks and reports through a proxy that resets connections in the middle of
// responses: many checks are recorded and get no response.
func TestCallHasOneRowWhenConnectionsAreCut(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	s := start(t, t.TempDir(), time.Now)
	k := s.createKey("acme", "k", nil)
	const cuts = 20
	p := newCuttingProxy(t, "tcp", s.server.AuthAddr())
	url, kt := serveCalls(t, p.addr(), s.token(access.Checker, access.AllWorkspaces))
	random := rand.New(rand.NewPCG(seed, 1))
	load := startCalls(t, func(path string) int { return callURL(t, url+path, k.secret) })
	for round := range cuts {
		p.cut(random)
		await(t, waitTimeout, func() bool { return p.count() > round }, func() any { return p.count() })
		p.pass()
		load.awaitCalls(60)
	}
	calls := load.stop()
	closeClient(t, kt)
	stats := kt.Stats()
	rows := rowsByPath(t, s.logs, allReported(calls, http.StatusAccepted))
	for path, row := range rows {
		if row.LatencyMs == nil && calls[path] != http.StatusServiceUnavailable {
			t.Errorf("%s got %d and was not reported", path, calls[path])
		}
	}
	if stats.Allowed+stats.Refused != int64(len(calls)) || stats.ReportsSent != stats.Allowed || stats.Refused > cuts {
		t.Errorf("%d cuts: %d calls have %d rows; %+v", p.count(), len(calls), len(rows), stats)
	}
	handled, ok := metric(s.server.OpsAddr(), handledChecks)
	if !ok || int64(handled) <= stats.Allowed {
		t.Errorf("%v checks of %d calls: none was repeated", handled, stats.Allowed)
	}
	t.Logf("%d cuts, %v checks: %d calls have %d rows; %+v", p.count(), handled, len(calls), len(rows), stats)
}

func TestNoCallFailsWhenOneOfTwoReplicasIsKilled(t *testing.T) {
	t.Parallel()
	s := newCluster(t)
	addr, database := stableAddr(t), s.postgres.URL("postgres")
	other := newDaemon(t, "authsvc", stableAddr(t), "--database-url", database, "--auth-addr", addr, "--logs-addr", s.logsAddr,
		"--trail-dir", filepath.Join(t.TempDir(), "trail"), "--token-keys", s.keyFile, "--signing-key", s.keyFile)
	s.start()
	must(t, other.up())
	other.awaitReady()
	k := s.createKey("k")
	all := manual.NewBuilderWithScheme("dns")
	all.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: s.authAddr}, {Addr: addr}}})
	bearer := token(t, s.signer, access.Checker, access.AllWorkspaces)
	url, kt := serveCalls(t, "127.0.0.1:1", bearer, ktclient.WithDialOptions(grpc.WithResolvers(all)))
	call := func(path string) int { return callURL(t, url+path, k.GetSecret()) }
	// Each replica must know the key. Calls go to them in turn.
	probes, allowed := 0, 0
	await(t, waitTimeout, func() bool {
		probes++
		if call(fmt.Sprintf("/v1/agents/probe-%d", probes)) != http.StatusAccepted {
			allowed = 0
			return false
		}
		allowed++
		return allowed == 2
	}, func() any { return "the key is not known" })
	load := startCalls(t, call)
	load.awaitCalls(300)
	must(t, other.down())
	load.awaitCalls(1000)
	must(t, other.up())
	load.awaitCalls(300)
	calls := load.stop()
	closeClient(t, kt)
	for path, status := range calls {
		if status != http.StatusAccepted {
			t.Errorf("%s got %d", path, status)
		}
	}
	rowsByPath(t, s.list, allReported(calls, http.StatusAccepted))
}

func TestCallIDsFollowTheClockOfTheAuthService(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	s := start(t, t.TempDir(), func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	k := s.createKey("acme", "k", nil)
	url, kt := serveCalls(t, s.server.AuthAddr(), s.token(access.Checker, access.AllWorkspaces))
	for i, offset := range []time.Duration{0, 10 * time.Minute, 0} {
		ahead.Store(int64(offset))
		path := fmt.Sprintf("/v1/agents/%d", i)
		if status := callURL(t, url+path, k.secret); status != http.StatusAccepted {
			t.Fatalf("with a clock that is %v ahead: status %d", offset, status)
		}
		row := rowsByPath(t, s.logs, func(rows pathRows) bool { return rows[path] != nil })[path]
		if off := time.Until(row.GetTime().AsTime()) - offset; off.Abs() > time.Minute {
			t.Errorf("with a clock that is %v ahead, the row is %v off", offset, off)
		}
	}
	closeClient(t, kt)
}
