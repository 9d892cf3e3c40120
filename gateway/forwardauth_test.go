package gateway

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/authresult"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

func TestForwardAuthAllows(t *testing.T) {
	p := newProxied(t, Config{})
	response := p.forward(t, "?workspace_id=acme", call...)
	if response.Code != 200 || response.Body.Len() != 0 {
		t.Errorf("got %d %s", response.Code, response.Body)
	}
	for name, want := range map[string]string{
		"X-Keytrail-Workspace-Id": "acme", "X-Keytrail-Key-Id": "k", "X-Keytrail-Key-Name": "Schl%C3%BCssel",
		"X-Keytrail-Key-Last4":   "abcd",
		"X-Keytrail-External-Id": "e%201", "X-Keytrail-Metadata": `{"plan":"gr\u00f6\u00dfer"}`, "X-Keytrail-Request-Log-Id": "row",
		"X-Keytrail-Report-Token": "token", "X-Keytrail-Error-Code": "", "X-Keytrail-Error": "", "Cache-Control": "no-store",
	} {
		if got := response.Header().Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	got := p.service.received()
	if got.GetApiKey() != "sk_1" || got.GetMethod() != "POST" || got.GetEndpoint() != "/v1/voice-agents/a%201/calls" ||
		got.GetAgentType() != "voice_agent" || got.GetAgentId() != "a 1" || got.GetWorkspaceId() != "acme" || got.GetCallId() == "" {
		t.Errorf("the service received %v", got)
	}
}

// TestForwardAuthDenies expects that a denial, whose response the caller may get, tells nothing of the key.
func TestForwardAuthDenies(t *testing.T) {
	p := newProxied(t, Config{})
	for _, httpStatus := range []int32{401, 403} {
		p.service.decide = func(*authv1.CheckRequest) (*authv1.CheckResponse, error) { return denied(httpStatus), nil }
		response := p.forward(t, "?agent_from=path", call...)
		expectRefusal(t, "denied", response, authresult.Refusal{Status: int(httpStatus), Code: "disabled"})
		header := response.Header()
		if header.Get("X-Keytrail-Report-Token") != "token" || header.Get("X-Keytrail-Request-Log-Id") != "row" {
			t.Errorf("the header is %v", header)
		}
		const body = `{"error":{"code":"disabled","message":"The key — has been disabled","fix":"Toggle it"}}`
		if got := response.Body.String(); got != body {
			t.Errorf("the body is %s", got)
		}
	}
}

// TestForwardAuthReportsMistakesOfTheProxy sends requests that are wrong by the proxy's token or configuration, each twice: no
// caller may take them for a denial, and each is logged once.
func TestForwardAuthReportsMistakesOfTheProxy(t *testing.T) {
	const wrongCall, typeHeader, idHeader = "X-Original-URI", "X-Keytrail-Agent-Type", "X-Keytrail-Agent-Id"
	noCall := []string{"Api-Key", "sk_1"}
	forwarded := with(noCall, "X-Forwarded-Method", "GET")
	for name, tt := range map[string]struct {
		query  string
		header []string
		says   string
	}{
		"no query":           {"", call, "must have workspace_id"},
		"a malformed query":  {"?workspace_id=%", call, "must have workspace_id"},
		"an unknown option":  {"?workspace_id=acme&agent_type=bot", call, "agent_type"},
		"a caller's query":   {"?agent_from=headers&page=1", call, "page"},
		"an unknown source":  {"?agent_from=body", call, "agent_from"},
		"an empty workspace": {"?workspace_id=", call, "workspace_id"},
		"two workspaces":     {"?workspace_id=acme&workspace_id=globex", call, "twice"},
		"a wrong workspace":  {"?workspace_id=ACME", call, "workspace_id"},
		"no call":            {"?agent_from=path", noCall, wrongCall},
		"no method":          {"?agent_from=path", with(noCall, "X-Forwarded-Uri", "/v1/agents/a"), wrongCall},
		"no URI":             {"?agent_from=path", with(noCall, "X-Original-Method", "GET"), wrongCall},
		"an empty method":    {"?agent_from=path", with(noCall, "X-Forwarded-Method", "", "X-Forwarded-Uri", "/"), wrongCall},
		"an empty URI":       {"?workspace_id=acme", with(forwarded, "X-Forwarded-Uri", ""), wrongCall},
		"half of each kind":  {"?agent_from=path", with(forwarded, "X-Original-URI", "/v1/agents/b"), wrongCall},
		"a forged URI":       {"?agent_from=path", with(call, "X-Original-URI", "/v1/agents/own"), wrongCall},
		"a forged method":    {"?agent_from=path", with(call, "X-Original-Method", "GET"), wrongCall},
		"two kinds":          {"?agent_from=path", with(call, "X-Original-Method", "GET", "X-Original-URI", "/v1/agents/b"), wrongCall},
		"two methods":        {"?agent_from=path", with(call, "X-Forwarded-Method", "GET"), wrongCall},
		"two URIs":           {"?agent_from=path", with(call, "X-Forwarded-Uri", "/v1/agents/b"), wrongCall},
		"no agent type":      {"?agent_from=headers", call, typeHeader},
		"two agent types":    {"?agent_from=headers", with(call, typeHeader, "a", typeHeader, "b"), typeHeader},
		"two agents":         {"?agent_from=headers", with(call, typeHeader, "a", idHeader, "a", idHeader, "b"), idHeader},
		"a wrong agent type": {"?agent_from=headers", with(call, typeHeader, "Bot"), "agent_type"},
	} {
		p := newProxied(t, Config{})
		for range 2 {
			expectRefusal(t, name, p.forward(t, tt.query, tt.header...), authresult.Unavailable)
		}
		if p.service.received() != nil {
			t.Errorf("%s: the call was checked", name)
		}
		log := p.log.String()
		if strings.Count(log, "level=WARN") != 1 || strings.Count(log, "\n") != 1 || !strings.Contains(log, tt.says) {
			t.Errorf("%s: logged %s, want %q once", name, log, tt.says)
		}
	}
}

func TestForwardAuthMustBeGet(t *testing.T) {
	p := newProxied(t, Config{CORSOrigins: []string{console}})
	for _, method := range []string{"HEAD", "POST", "OPTIONS"} {
		request := httptest.NewRequest(method, forwardAuthPath+"?agent_from=path", strings.NewReader("body"))
		request.Header.Set("Authorization", accesstest.Bearer(t, p.signer, access.Checker, access.AllWorkspaces))
		expectRefusal(t, method, serve(p, request), authresult.Unavailable)
	}
	if !strings.Contains(p.log.String(), "must be GET") {
		t.Errorf("logged %s", p.log)
	}
}

// TestForwardAuthRefusesUnknownPaths expects no check and no log line: callers choose paths.
func TestForwardAuthRefusesUnknownPaths(t *testing.T) {
	p := newProxied(t, Config{})
	p.service.decide = func(req *authv1.CheckRequest) (*authv1.CheckResponse, error) {
		if req.GetAgentType() == "robot" {
			return nil, fault.InvalidField("agent_type", "there is no such type")
		}
		return allowed, nil
	}
	for name, tt := range map[string]struct{ query, path string }{
		"no agent":            {"?workspace_id=acme", "/health"},
		"no agent's page":     {"?workspace_id=acme", "/v1/agents"},
		"an empty path":       {"?workspace_id=acme", "?/v1/agents/a1"},
		"a whole URL":         {"?workspace_id=acme", "https://api.example.com/v1/agents/a1"},
		"dots":                {"?workspace_id=acme", "/v1/agents/a1/../a2"},
		"encoded dots":        {"?workspace_id=acme", "/v1/agents/a1/%2e%2e/a2"},
		"an encoded slash":    {"?workspace_id=acme", "/v1/agents/a1%2f..%2fa2"},
		"two slashes":         {"?workspace_id=acme", "//v1/agents/a1"},
		"a backslash":         {"?workspace_id=acme", `/v1/agents/a1\a2`},
		"a fragment":          {"?workspace_id=acme", "/v1/agents/a1#/../a2"},
		"not UTF-8":           {"?workspace_id=acme", "/v1/agents/a\xff"},
		"half a character":    {"?workspace_id=acme", "/v1/agents/a\xc3%a4"},
		"no UTF-8 in headers": {"?agent_from=headers", "/any/a\xff"},
		"a malformed type":    {"?workspace_id=acme", "/v1/Agents/a1"},
		"an unknown type":     {"?workspace_id=acme", "/v1/robots/a1"},
		"another workspace":   {"?workspace_id=acme", "/in/globex/agent/a1"},
		"a malformed one":     {"?agent_from=path", "/in/ACME/agent/a1"},
	} {
		header := with(agent, "X-Original-Method", "GET", "X-Original-URI", tt.path)
		expectRefusal(t, name, p.forward(t, tt.query, header...), authresult.UnknownPath)
		if got := p.service.received(); got != nil && got.GetAgentType() != "robot" {
			t.Errorf("%s: %v was checked", name, got)
		}
	}
	notUTF8 := with(call, agent[0], agent[1], agent[2], "a\xff")
	expectRefusal(t, "an agent", p.forward(t, "?agent_from=headers", notUTF8...), authresult.UnknownPath)
	acme := accesstest.Bearer(t, p.signer, access.Checker, "acme")
	foreign := []string{"Authorization", acme, "X-Original-Method", "GET", "X-Original-URI", "/in/globex/agent/a1"}
	expectRefusal(t, "a workspace not of the token", p.forward(t, "?agent_from=path", foreign...), authresult.UnknownPath)
	if p.log.Len() > 0 {
		t.Errorf("logged %s", p.log)
	}
}

// TestForwardAuthReadsTheAgent sends calls that differ in where the agent is.
func TestForwardAuthReadsTheAgent(t *testing.T) {
	p := newProxied(t, Config{})
	for name, tt := range map[string]struct {
		query, path string
		want        [3]string // workspace, type and id
	}{
		"by the path, with forged headers": {"?agent_from=path", "/v1/agents/a1", [3]string{"", "agent", "a1"}},
		"by headers":                       {"?agent_from=headers", "/any//path", [3]string{"", "data_agent", "b/1"}},
		"by headers, with a workspace":     {"?agent_from=headers&workspace_id=acme", "/", [3]string{"acme", "data_agent", "b/1"}},
		"with the path's workspace":        {"?agent_from=path", "/in/acme/agent/a1/x", [3]string{"acme", "agent", "a1"}},
		"with the same workspace twice":    {"?workspace_id=acme", "/in/acme/agent/a1", [3]string{"acme", "agent", "a1"}},
	} {
		header := with(agent, "X-Original-Method", "GET", "X-Original-URI", tt.path+"?workspace_id=x&agent_from=headers")
		if response := p.forward(t, tt.query, header...); response.Code != 200 {
			t.Errorf("%s: %d %s %s", name, response.Code, response.Body, p.log)
		}
		got := p.service.received()
		called := [3]string{got.GetWorkspaceId(), got.GetAgentType(), got.GetAgentId()}
		if called != tt.want || got.GetEndpoint() != tt.path {
			t.Errorf("%s: the service received %v", name, got)
		}
	}
	p.forward(t, "?agent_from=headers", with(call, "X-Keytrail-Agent-Type", "agent")...)
	if got := p.service.received(); got.GetAgentType() != "agent" || got.GetAgentId() != "" {
		t.Errorf("without an id, the service received %v", got)
	}
}

// TestForwardAuthReadsOneSecret sends values of api-key that must not become the secret of another one.
func TestForwardAuthReadsOneSecret(t *testing.T) {
	p := newProxied(t, Config{})
	base := call[:4]
	for name, tt := range map[string]struct {
		header []string
		want   string
	}{
		"none":      {base, ""},
		"empty":     {with(base, "api-key", ""), ""},
		"one":       {with(base, "api-key", "sk_ä"), "sk_ä"},
		"two":       {with(base, "api-key", "sk_1", "Api-Key", "sk_2"), "sk_1, sk_2"},
		"not UTF-8": {with(base, "api-key", "sk_\xff1"), "sk_\uFFFD1"},
	} {
		if p.forward(t, "?agent_from=path", tt.header...); p.service.received().GetApiKey() != tt.want {
			t.Errorf("%s: the service did not receive %q", name, tt.want)
		}
	}
}

// TestForwardAuthFailsWithTheService expects 503 for each error, and one log line for each that is not the caller's doing.
func TestForwardAuthFailsWithTheService(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		says string
	}{
		"refused":     {fault.New(fault.TrailFull, "full"), "TRAIL_FULL"},
		"a wrong one": {fault.InvalidField("method", "wrong"), "method"},
		"internal":    {status.Error(codes.Internal, "SELECT"), "INTERNAL"},
		"cancelled":   {fault.New(fault.CallCancelled, "gone"), ""},
	} {
		p := newProxied(t, Config{})
		p.service.decide = func(*authv1.CheckRequest) (*authv1.CheckResponse, error) { return nil, tt.err }
		for range 2 {
			expectRefusal(t, name, p.forward(t, "?agent_from=path", call...), authresult.Unavailable)
		}
		if log := p.log.String(); strings.Count(log, "level=WARN") != min(1, len(tt.says)) || !strings.Contains(log, tt.says) {
			t.Errorf("%s: logged %s, want %q once", name, log, tt.says)
		}
	}
}

// TestForwardAuthRefusalsAreObserved expects a refused token to be counted as a call of Check.
func TestForwardAuthRefusalsAreObserved(t *testing.T) {
	var observed []string
	observe := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		_, err := next(ctx, req)
		observed = append(observed, info.FullMethod+" "+status.Code(err).String())
		return nil, err
	}
	p := newProxied(t, Config{Observe: observe})
	p.forward(t, "?agent_from=path", with(call, "Authorization", "Bearer x")...)
	if want := authv1.CheckService_Check_FullMethodName + " Unauthenticated"; len(observed) != 1 || observed[0] != want {
		t.Errorf("observed %q, want %q", observed, want)
	}
}
