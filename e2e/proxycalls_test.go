package e2e

import (
	"context"
	"math"
	"net"
	"net/http"
	"path"
	"strings"

	"github.com/keytrail/keytrail/internal/authresult"
	"github.com/keytrail/keytrail/internal/testing/proxytest"
)

// frontCall is a call through a reverse proxy, with its expected end.
type frontCall struct {
	method, path, body string
	header             http.Header
	// status is what the caller gets; 0 = it goes away before it gets one.
	status int
	// code is the error code; empty if the call is allowed.
	code string
	// logged is the status of the row, where it is not the caller's; -1 = there is no row.
	logged int
	// key is the key that the call proves; nil if there is none.
	key *key
}

// rowStatus returns the status of the row.
func (c frontCall) rowStatus() int {
	if c.logged != 0 {
		return c.logged
	}
	return c.status
}

// endpoint returns the path without the query.
func (c frontCall) endpoint() string {
	endpoint, _, _ := strings.Cut(c.path, "?")
	return endpoint
}

// served reports whether the call reaches the service.
func (c frontCall) served() bool { return c.code == "" }

// withKey returns the headers of a call with a secret and more headers, as pairs of a name and a value.
func withKey(secret string, more ...string) http.Header {
	header := http.Header{}
	header.Set("Api-Key", secret)
	for i := 0; i < len(more); i += 2 {
		header.Set(more[i], more[i+1])
	}
	return header
}

// largeBody is larger than the buffers of the proxies.
var largeBody = strings.Repeat("x", 100_000)

// forged are headers with which a caller pretends that it is another one, or calls another agent.
var forged = []string{
	"X-Keytrail-Workspace-Id", "forged", "X-Keytrail-Key-Id", "forged", "X-Keytrail-Key-Name", "forged",
	"X-Keytrail-Key-Last4", "forged", "X-Keytrail-External-Id", "forged", "X-Keytrail-Metadata", `{"forged":"forged"}`,
	"X-Keytrail-Request-Log-Id", "forged", "X-Keytrail-Agent-Type", "forged", "X-Keytrail-Agent-Id", "forged",
	"X-Keytrail-Report-Token", "forged",
	"X-Forwarded-Uri", "/v1/agents/forged", "X-Forwarded-Method", "FORGED",
	"X-Original-Uri", "/v1/agents/forged", "X-Original-Method", "FORGED",
}

// callerKey creates the key of all calls that reach the service. expectIdentity expects its name, external id and metadata.
func (f *front) callerKey() key {
	f.t.Helper()
	return f.createKey("acme", "Schlüssel 1", object{"externalId": "customer-7", "metadata": object{"plan": "groß"}})
}

// calls returns calls with every end that a proxy can have. Those without a row are before others: when the row of the last call is
// there, a row too many would be, too.
func (f *front) calls() []frontCall {
	f.t.Helper()
	good := f.callerKey()
	off := f.createKey("acme", "off", nil)
	f.ok("PATCH", f.keyPath("acme", off), object{"disabled": true})
	old := f.createKey("acme", "old", nil)
	f.ok("PATCH", f.keyPath("acme", old), object{"expireTime": "2020-01-01T00:00:00Z"})
	listed := f.createKey("acme", "listed", object{"allAgents": false, "agentIds": []string{"a1"}})
	with := func(k key, more ...string) http.Header { return withKey(k.secret, more...) }
	return []frontCall{
		{path: "/v1/agents/a1/allowed", header: with(good), status: 200, key: &good},
		{path: "/v1/agents/a1/query?secret=hush&x=%2F", header: with(good), status: 200, key: &good},
		{path: "/v1/agents/a1/posted", method: "POST", body: largeBody, header: with(good), status: 200, key: &good},
		{path: "/v1/agents/a1/../a2/unclean", header: with(listed), status: 403, code: "unknown_path", logged: -1},
		{path: "/v1/agents//a1/empty", header: with(good), status: 403, code: "unknown_path", logged: -1},
		{path: "/v1/robots/a1/unknown", header: with(good), status: 403, code: "unknown_path", logged: -1},
		{path: "/v1/agents/a1/missing", header: http.Header{}, status: 401, code: "missing_token"},
		{path: "/v1/agents/a1/invalid", header: withKey(good.secret[:40] + "!"), status: 401, code: "invalid_token"},
		{path: "/v1/agents/a1/disabled", header: with(off), status: 401, code: "disabled", key: &off},
		{path: "/v1/agents/a1/expired", header: with(old), status: 401, code: "expired", key: &old},
		{path: "/v1/voice_agents/a1/scope", header: with(good), status: 403, code: "scope_denied", key: &good},
		{path: "/v1/agents/a2/agent", method: "POST", header: with(listed), status: 403, code: "agent_denied", key: &listed},
		{path: "/v1/agents/a1/fails", header: with(good), status: 500, key: &good},
		{path: "/v1/agents/a1/breaks", method: "POST", header: with(good), status: 502, key: &good},
		{path: "/v1/agents/a1/slow", header: with(good), status: 200, key: &good},
		{path: "/v1/agents/a1/hangs", header: with(good), logged: 499, key: &good},
		{path: "/v1/agents/a1/forged", header: with(good, forged...), status: 200, key: &good},
		{path: "/v1/agents/a1/forged-denied", header: with(key{}, forged...), status: 401, code: "missing_token"},
	}
}

// withMore adds calls with the key of the first one: as a bearer token, with forged headers that a service may read as those of
// the identity, and with an order to the proxy to remove those.
func (f *front) withMore(calls []frontCall) []frontCall {
	k := calls[0].key
	bearer := http.Header{"Authorization": {"Bearer " + k.secret}}
	return append(calls,
		frontCall{path: "/v1/agents/a1/bearer", header: bearer, status: 200, key: k},
		frontCall{path: "/v1/agents/a1/both", header: withKey(k.secret, "Authorization", bearer["Authorization"][0]), status: 200, key: k},
		frontCall{path: "/v1/agents/a1/underscores", status: 200, key: k, header: withKey(k.secret,
			"X_Keytrail_Key_Id", "forged", "X-Keytrail_Key-Id", "forged", "x_keytrail-key_name", "forged", "Api_Key", "forged")},
		frontCall{path: "/v1/agents/a1/connection", status: 200, key: k, header: withKey(k.secret,
			"Connection", "X-Keytrail-Key-Id, close, x-keytrail-external-id")},
	)
}

// expect sends calls through the proxy, and expects one row of each with the status and the time of the proxy's log.
func (f *front) expect(calls []frontCall) {
	f.t.Helper()
	for _, c := range calls {
		f.expectResponse(c)
	}
	wanted := 0
	for _, c := range calls {
		if c.rowStatus() >= 0 {
			wanted++
		}
	}
	rows := f.awaitReports(wanted)
	lines := f.lines()
	if others := f.list("_unattributed", "?page_size=1000"); len(others) != 0 {
		f.t.Errorf("rows without a workspace: %v", others)
	}
	for _, c := range calls {
		f.expectRow(c, rows[c.endpoint()], lines[c.endpoint()])
	}
}

// awaitReports waits until a number of rows has a report, and returns all rows by endpoint.
func (f *front) awaitReports(wanted int) map[string][]object {
	f.t.Helper()
	var byEndpoint map[string][]object
	done := 0
	f.await(func() bool {
		byEndpoint, done = map[string][]object{}, 0
		for _, row := range f.list("acme", "?page_size=1000") {
			endpoint := row["endpoint"].(string)
			byEndpoint[endpoint] = append(byEndpoint[endpoint], row)
			if reported(row) {
				done++
			}
		}
		return done >= wanted
	}, func() any { return []any{done, wanted, byEndpoint} })
	return byEndpoint
}

// expectResponse sends a call, and expects the response that its caller gets.
func (f *front) expectResponse(c frontCall) {
	f.t.Helper()
	if c.status == 0 {
		f.leave(c)
		return
	}
	status, header, body, err := f.send(f.t.Context(), c)
	if err != nil || status != c.status {
		f.t.Errorf("%s: got %d %v, want %d\n%s", c.path, status, err, c.status, body)
		return
	}
	if !c.served() {
		if code := refusalOf(f.t, body); code != c.code {
			f.t.Errorf("%s: the body has the code %q, want %q", c.path, code, c.code)
		}
		challenged := header.Get("WWW-Authenticate") == authresult.Challenge
		if header.Get("Content-Type") != "application/json" || challenged != (status == http.StatusUnauthorized) {
			f.t.Errorf("%s: headers %v", c.path, header)
		}
	}
	for _, h := range authresult.Identity(nil) {
		if value := header.Get(h.Name); value != "" && h.Name != authresult.RequestLogIDHeader {
			f.t.Errorf("%s: the caller got %s = %q", c.path, h.Name, value)
		}
	}
}

// leave sends a call whose caller goes away when it has arrived at the service.
func (f *front) leave(c frontCall) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, _, _, err := f.send(ctx, c)
		ended <- err
	}()
	select {
	case <-f.service.arrived:
	case err := <-ended:
		f.t.Fatalf("%s did not reach the service: %v", c.path, err)
	}
	cancel()
	if err := <-ended; err == nil {
		f.t.Errorf("%s: the caller got a response", c.path)
	}
}

// expectRow compares a call with its row, with its line in the proxy's log, and with what the service got.
func (f *front) expectRow(c frontCall, rows []object, lines []proxytest.Line) {
	f.t.Helper()
	got := f.service.headers(c.endpoint())
	if c.served() == (len(got) == 0) {
		f.t.Errorf("%s: the service got %d calls", c.path, len(got))
		return
	}
	if c.rowStatus() < 0 {
		if len(rows) != 0 || len(lines) != 0 {
			f.t.Errorf("%s: want no row and no line, got %v and %v", c.path, rows, lines)
		}
		return
	}
	if len(rows) != 1 || len(lines) != 1 {
		f.t.Errorf("%s: want one row and one line, got %v and %v", c.path, rows, lines)
		return
	}
	row, line := rows[0], lines[0]
	// The proxy logs milliseconds or finer; a row has microseconds.
	if off := math.Abs(row["latencyMs"].(float64) - line.LatencyMs); off > 0.001 {
		f.t.Errorf("%s: latency %v ms, and %v in the proxy's log", c.path, row["latencyMs"], line.LatencyMs)
	}
	if path.Base(c.endpoint()) == "slow" && line.LatencyMs < float64(slowPause.Milliseconds()) {
		f.t.Errorf("%s: latency %v ms of a call that takes %v", c.path, line.LatencyMs, slowPause)
	}
	if row["status"] != float64(c.rowStatus()) || row["errorCode"] != c.code {
		f.t.Errorf("%s: row %v, want the status %d and the code %q", c.path, row, c.rowStatus(), c.code)
	}
	if c.key != nil && row["keyId"] != c.key.id {
		f.t.Errorf("%s: row %v, want the key %s", c.path, row, c.key.id)
	}
	for _, header := range got {
		f.expectIdentity(c, row, header)
	}
}

// expectIdentity compares the headers of a call at the service with its row.
func (f *front) expectIdentity(c frontCall, row object, got http.Header) {
	f.t.Helper()
	for name, want := range map[string]string{
		"X-Keytrail-Workspace-Id": "acme", "X-Keytrail-Key-Id": c.key.id, "X-Keytrail-Key-Name": "Schl%C3%BCssel%201",
		"X-Keytrail-Key-Last4": c.key.last4, "X-Keytrail-External-Id": "customer-7", "X-Keytrail-Metadata": `{"plan":"gro\u00df"}`,
		"X-Keytrail-Request-Log-Id": row["id"].(string),
	} {
		if values := got.Values(name); len(values) != 1 || values[0] != want {
			f.t.Errorf("%s: the service got %s = %q, want %q", c.path, name, values, want)
		}
	}
	for name, values := range got {
		keytrail := strings.HasPrefix(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "x-keytrail-")
		if keytrail && strings.Contains(strings.Join(values, ","), "forged") || name == "Api-Key" || name == "Authorization" {
			f.t.Errorf("%s: the service got %s = %q", c.path, name, values)
		}
	}
}

// expectUnavailable expects that a call is refused, because it cannot be checked.
func (f *front) expectUnavailable() {
	f.t.Helper()
	call := frontCall{path: "/v1/agents/a1/unchecked", header: http.Header{}, status: 503, code: "unavailable"}
	f.expectResponse(call)
	if got := f.service.headers(call.path); len(got) != 0 {
		f.t.Error("a call that was not checked reached the service")
	}
}

// hang makes the gateway one that accepts connections and does not respond. The proxy has its documented timeouts.
func (f *front) hang() {
	f.t.Helper()
	silent, err := net.Listen("tcp", anyPort)
	must(f.t, err)
	f.t.Cleanup(func() { silent.Close() })
	f.Gateway, f.Timeouts = silent.Addr().String(), true
}
