package e2e

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	dataaccesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/keytrail/keytrail/app"
	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

// envoyCase is a call with its end at Envoy.
type envoyCase struct {
	codeCase
	call     *envoyCall
	status   uint32
	duration time.Duration
}

// envoyCases returns the calls of all error codes, and allowed ones that end in different ways.
func envoyCases(s *system) []*envoyCase {
	var all []*envoyCase
	for i, c := range codeCases(s) {
		all = append(all, &envoyCase{codeCase: c, status: uint32(c.status), duration: time.Duration(i+1) * 1234567 * time.Nanosecond})
	}
	good := all[len(all)-1].codeCase
	for name, status := range map[string]uint32{"a failed agent": 500, "an agent that is not reached": 503, "a caller that goes away": 0} {
		c := good
		c.name = name
		all = append(all, &envoyCase{codeCase: c, status: status, duration: 2500 * time.Millisecond})
	}
	for i, c := range all {
		c.call = &envoyCall{
			path: fmt.Sprintf("/v1/%ss/%s/calls/%d?token=hush", c.agentType, c.agentID, i), apiKey: c.apiKey, extensions: map[string]string{"workspace_id": "acme"},
			headers: map[string]string{"X-Keytrail-Workspace-Id": "globex", "X-Keytrail-Key-Id": "forged", "X-Keytrail-Admin": "true"},
		}
	}
	return all
}

// TestEnvoyCallsBecomeOneRowEach checks calls and logs their ends as Envoy does: in batches, some twice, on streams of which one is cut.
func TestEnvoyCallsBecomeOneRowEach(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	e := newEnvoy(t, dial(t, s.server.AuthAddr(), s.credentials()))
	cases := envoyCases(s)
	var ends []*dataaccesslogv3.HTTPAccessLogEntry
	for _, c := range cases {
		response, err := e.check(t.Context(), c.call)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		c.expectResponse(t, response)
		ends = append(ends, c.call.entry(c.status, c.duration))
	}
	unchecked := (&envoyCall{path: "/healthz"}).entry(200, time.Millisecond)

	ctx, cut := context.WithCancel(t.Context())
	stream, err := e.logs.StreamAccessLogs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	half := len(ends) / 2
	for _, message := range []int{0, 2, half} {
		if err := stream.Send(entries(message == 0, ends[:message]...)); err != nil {
			t.Fatal(err)
		}
	}
	s.expectEnvoyRows(cases[:half])
	cut()
	e.log(t.Context(), entries(true, append([]*dataaccesslogv3.HTTPAccessLogEntry{unchecked}, ends...)...), entries(false, ends...), entries(false, ends[half:]...))
	s.expectEnvoyRows(cases)
	if rows := walk(t, s.logs, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"}); len(rows) != len(cases) {
		t.Errorf("%d rows of %d calls", len(rows), len(cases))
	}
	for labels, want := range map[string]float64{
		`grpc_method="Check",grpc_service="envoy.service.auth.v3.Authorization",grpc_type="unary"`:                            float64(len(cases)),
		`grpc_method="StreamAccessLogs",grpc_service="envoy.service.accesslog.v3.AccessLogService",grpc_type="client_stream"`: 1,
	} {
		if n, ok := metric(s.server.OpsAddr(), `grpc_server_handled_total{grpc_code="OK",`+labels+`}`); !ok || n != want {
			t.Errorf("counted %v calls of %s, want %v", n, labels, want)
		}
	}
}

// expectResponse expects what Envoy gets.
func (c *envoyCase) expectResponse(t *testing.T, response *authv3.CheckResponse) {
	t.Helper()
	headers := map[string]string{}
	for _, header := range append(response.GetOkResponse().GetHeaders(), response.GetDeniedResponse().GetHeaders()...) {
		headers[header.GetHeader().GetKey()] = header.GetHeader().GetValue()
	}
	if c.code == "" {
		removed := response.GetOkResponse().GetHeadersToRemove()
		if response.GetStatus().GetCode() != int32(codes.OK) || headers["x-keytrail-workspace-id"] != "acme" || headers["x-keytrail-key-id"] != c.key.id {
			t.Errorf("%s: %v", c.name, response)
		}
		for _, name := range []string{"api-key", "x-keytrail-admin", "x-keytrail-external-id"} { // the key has no external id
			if !slices.Contains(removed, name) {
				t.Errorf("%s: removes %v, and not %s", c.name, removed, name)
			}
		}
		for _, name := range removed {
			if _, set := headers[name]; set {
				t.Errorf("%s: %s is set, and then removed", c.name, name)
			}
		}
		return
	}
	var body struct {
		Error struct{ Code, Message, Fix string }
	}
	if err := json.Unmarshal([]byte(response.GetDeniedResponse().GetBody()), &body); err != nil || body.Error.Code != c.code || body.Error.Fix == "" {
		t.Errorf("%s: the body is %q, %v", c.name, response.GetDeniedResponse().GetBody(), err)
	}
	if got := uint32(response.GetDeniedResponse().GetStatus().GetCode()); got != c.status || headers["x-keytrail-error-code"] != c.code ||
		headers["content-type"] != "application/json" || (headers["www-authenticate"] != "") != (c.status == 401) {
		t.Errorf("%s: %d with %v", c.name, got, headers)
	}
}

// expectEnvoyRows waits for the rows of calls whose end was logged, and expects one of each, with what Envoy said of it.
func (s *system) expectEnvoyRows(cases []*envoyCase) {
	s.t.Helper()
	for _, c := range cases {
		endpoint, _, _ := strings.Cut(c.call.path, "?")
		var rows []*logsv1.RequestLog
		s.await(func() bool {
			rows = slices.DeleteFunc(walk(s.t, s.logs, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", Endpoint: endpoint}),
				func(row *logsv1.RequestLog) bool { return row.GetEndpoint() != endpoint })
			return len(rows) == 1 && rows[0].LatencyMs != nil
		}, func() any { return rows })
		want := &logsv1.RequestLog{
			Id: rows[0].GetId(), Time: rows[0].GetTime(), WorkspaceId: "acme", AgentType: c.agentType, AgentId: c.agentID, Method: "POST",
			Endpoint: endpoint, Status: int32(cmp.Or(c.status, 499)), ErrorCode: c.code, CallCount: 1,
			LatencyMs: new(float64(c.duration.Round(time.Microsecond).Microseconds()) / 1000),
		}
		if c.key != nil {
			want.KeyId, want.KeyName, want.KeyLast4 = c.key.id, c.keyName, c.key.last4
		}
		if !proto.Equal(rows[0], want) {
			s.t.Errorf("%s: the row is %v, want\n%v", c.name, rows[0], want)
		}
	}
}

// TestEnvoyByItsCertificate: a client certificate with a name of --tls-checkers is a checker for all workspaces.
func TestEnvoyByItsCertificate(t *testing.T) {
	t.Parallel()
	const spiffe, host = "spiffe://example.org/ns/edge/sa/envoy", "envoy.example.org"
	authority := tlstest.NewAuthority(t)
	config := serveConfig(t.TempDir())
	config.TLSCert, config.TLSKey = authority.Issue(t, "keytrail").Write(t)
	config.TLSClientCA, config.TLSCheckers = authority.Write(t), []string{spiffe, host}
	server, err := app.NewServer(t.Context(), config, quiet, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	run(t, server)
	as := func(pair tlstest.Pair, options ...grpc.DialOption) *grpc.ClientConn {
		secured := &tls.Config{RootCAs: authority.Pool(), Certificates: []tls.Certificate{pair.TLS(t)}}
		return dial(t, server.AuthAddr(), append(options, grpc.WithTransportCredentials(credentials.NewTLS(secured)))...)
	}
	later, call := time.Now().Add(time.Hour), func() *envoyCall {
		return &envoyCall{path: "/v1/agents/a1/run", extensions: map[string]string{"workspace_id": "acme"}}
	}
	for _, name := range []string{spiffe, host} {
		conn := as(authority.IssueTo(t, later, "other.example.org", name))
		e, c := newEnvoy(t, conn), call()
		if response, err := e.check(t.Context(), c); err != nil || response.GetDeniedResponse() == nil {
			t.Errorf("%s: %v, %v", name, response, err)
		}
		e.log(t.Context(), entries(true), entries(false, c.entry(401, time.Millisecond)))
		_, err := authv1.NewKeyServiceClient(conn).ListKeys(t.Context(), &authv1.ListKeysRequest{WorkspaceId: "acme"})
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s lists keys: %v", name, err)
		}
		// A token decides alone.
		viewer := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token(t, readSigner(t, config.DataDir), access.Viewer, "acme"))
		if _, err := e.check(viewer, call()); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s with the token of a viewer: %v", name, err)
		}
		if _, err := e.check(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer x"), call()); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s with a bad token: %v", name, err)
		}
	}
	for name, pair := range map[string]tlstest.Pair{
		"another name":        authority.IssueTo(t, later, "envoy.example.com"),
		"a part of the name":  authority.IssueTo(t, later, spiffe+"/x", "example.org"),
		"the name as subject": authority.Issue(t, host),
	} {
		e := newEnvoy(t, as(pair))
		if _, err := e.check(t.Context(), call()); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
		if stream, err := e.logs.StreamAccessLogs(t.Context()); err != nil || status.Code(stream.RecvMsg(nil)) != codes.Unauthenticated {
			t.Errorf("%s: a stream, %v", name, err)
		}
	}
	expectStreamEndsWithCertificate(t, func(until time.Time) *envoyProxy { return newEnvoy(t, as(authority.IssueTo(t, until, spiffe))) })
	foreign := newEnvoy(t, as(tlstest.NewAuthority(t).IssueTo(t, later, spiffe)))
	if _, err := foreign.check(t.Context(), call()); status.Code(err) != codes.Unavailable {
		t.Errorf("a certificate of another authority: %v", err)
	}
}

// expectStreamEndsWithCertificate expects a stream to end when the client certificate expires. On a slow machine a short-lived
// certificate may expire before it is used.
func expectStreamEndsWithCertificate(t *testing.T, connect func(until time.Time) *envoyProxy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	for life := 2 * time.Second; ; life *= 2 {
		stream, err := connect(time.Now().Add(life)).logs.StreamAccessLogs(ctx)
		if err == nil {
			err = stream.Send(entries(true))
		}
		if err == nil {
			err = stream.RecvMsg(nil)
		}
		switch {
		case status.Code(err) == codes.Canceled:
			return
		case life > waitTimeout/2:
			t.Fatalf("a stream after its certificate has expired: %v", err)
		}
	}
}

// TestEnvoyWithATokenOfOneWorkspace: it checks and reports calls of that workspace only.
func TestEnvoyWithATokenOfOneWorkspace(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	all := newEnvoy(t, dial(t, s.server.AuthAddr(), s.credentials()))
	limited := newEnvoy(t, dial(t, s.server.AuthAddr(), grpc.WithPerRPCCredentials(access.NewToken(s.token(access.Checker, "acme")))))
	k := s.createKey("acme", "k", nil)
	for workspace, want := range map[string]codes.Code{"acme": codes.OK, "globex": codes.PermissionDenied, "": codes.PermissionDenied} {
		c := &envoyCall{path: "/v1/agents/a1/of/" + workspace, apiKey: k.secret, extensions: map[string]string{"workspace_id": workspace}}
		if _, err := limited.check(t.Context(), c); status.Code(err) != want {
			t.Errorf("a check in %q: %v, want %v", workspace, err, want)
		}
	}
	own, foreign := &envoyCall{path: "/v1/agents/a1/own", extensions: map[string]string{"workspace_id": "acme"}},
		&envoyCall{path: "/v1/agents/a1/foreign", extensions: map[string]string{"workspace_id": "globex"}}
	for _, c := range []*envoyCall{own, foreign} {
		if _, err := all.check(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	limited.log(t.Context(), entries(true, foreign.entry(401, time.Millisecond), own.entry(401, time.Millisecond)))
	s.await(func() bool {
		rows := walk(t, s.logs, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme", Endpoint: "/own"})
		return len(rows) == 1 && rows[0].LatencyMs != nil
	}, func() any { return "no report in acme" })
	s.await(func() bool {
		rows := walk(t, s.logs, &logsv1.ListRequestLogsRequest{WorkspaceId: "globex", Endpoint: "/foreign"})
		return len(rows) == 1 && rows[0].LatencyMs == nil
	}, func() any { return "no row in globex, or it is reported" })
	if n, ok := metric(s.server.OpsAddr(), `keytrail_report_tokens_refused_total{reason="foreign_workspace"}`); !ok || n != 1 {
		t.Errorf("%v refused reports are counted", n)
	}
}
