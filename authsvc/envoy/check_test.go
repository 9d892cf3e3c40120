package envoy_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/authresult"
)

// request returns what Envoy sends about a request: header names in lower case, the query in the path.
func request(path string, extensions, headers map[string]string) *authv3.CheckRequest {
	all := map[string]string{":method": "POST", ":path": path, ":authority": "api.example.com", "user-agent": "curl/8"}
	maps.Copy(all, headers)
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		ContextExtensions: extensions,
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "POST", Path: path, Host: "api.example.com", Headers: all,
		}},
	}}
}

var inAcme = map[string]string{"workspace_id": "acme"}

func TestTheAgentComesFromTheExtensionsOrThePath(t *testing.T) {
	f := newFixture(t)
	headers := map[string]string{"api-key": f.create(t, "acme")}
	for name, tt := range map[string]struct {
		path       string
		extensions map[string]string
		// agent is the type and id of the row; empty = the path is refused.
		agent string
	}{
		"from the path":                        {"/v1/agents/a1/run?token=hush", inAcme, "agent/a1"},
		"and the workspace":                    {"/w/acme/agents/a1/run", nil, "agent/a1"},
		"the workspace from both":              {"/w/acme/agents/a1/run", inAcme, "agent/a1"},
		"another workspace than the route's":   {"/w/globex/agents/a1/run", inAcme, ""},
		"the type from the route":              {"/v1/data_agents/a1", map[string]string{"workspace_id": "acme", "agent_type": "agent"}, "agent/a1"},
		"the id from the route":                {"/v1/agents/a1", map[string]string{"workspace_id": "acme", "agent_id": "b"}, "agent/b"},
		"all from the route":                   {"/chat", map[string]string{"workspace_id": "acme", "agent_type": "agent", "agent_id": "b"}, "agent/b"},
		"no agent, from the route":             {"/chat", map[string]string{"workspace_id": "acme", "agent_type": "agent", "agent_id": ""}, "agent/"},
		"any workspace, from the route":        {"/chat", map[string]string{"workspace_id": "", "agent_type": "agent", "agent_id": "b"}, "agent/b"},
		"an unknown path":                      {"/chat", inAcme, ""},
		"a part from an unknown path":          {"/chat", map[string]string{"workspace_id": "acme", "agent_type": "agent"}, ""},
		"a workspace from an unknown path":     {"/w//agents/a1", map[string]string{"agent_type": "agent", "agent_id": "a1"}, ""},
		"a path that servers read differently": {"/v1/agents/a1/../a2", inAcme, ""},
		"an unknown type in the path":          {"/v1/robots/a1", inAcme, ""},
		"a bad workspace in the path":          {"/w/ACME/agents/a1", nil, ""},
		"no path":                              {"", inAcme, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(f.rows)
			response, err := f.authorization.Check(f.as(t, access.Checker, access.AllWorkspaces), request(tt.path, tt.extensions, headers))
			must(t, err)
			if tt.agent == "" {
				expectRefused(t, response, 403, authresult.UnknownPath.Code)
				if response.GetDynamicMetadata() != nil || len(f.rows) != before {
					t.Errorf("an unknown path has a row, or the metadata %v", response.GetDynamicMetadata())
				}
				return
			}
			if response.GetStatus().GetCode() != int32(codes.OK) || len(f.rows) != before+1 {
				t.Fatalf("%v, %d rows", response, len(f.rows)-before)
			}
			if row := f.rows[before]; row.AgentType+"/"+row.AgentID != tt.agent || row.Endpoint != strings.Split(tt.path, "?")[0] || row.Method != "POST" {
				t.Errorf("the row is %+v", row)
			}
		})
	}
}

// expectRefused expects a denial as a client gets it.
func expectRefused(t *testing.T, response *authv3.CheckResponse, httpStatus int, code string) {
	t.Helper()
	refusal := response.GetDeniedResponse()
	want := map[string]string{"content-type": "application/json", "x-keytrail-error-code": code}
	grpcCode := codes.PermissionDenied
	if httpStatus == 401 {
		grpcCode, want["www-authenticate"] = codes.Unauthenticated, authresult.Challenge
	}
	if response.GetStatus().GetCode() != int32(grpcCode) || int(refusal.GetStatus().GetCode()) != httpStatus {
		t.Errorf("refused with %v, want %d and %v", response, httpStatus, grpcCode)
	}
	if got := headersOf(t, refusal.GetHeaders()); !maps.Equal(got, want) {
		t.Errorf("the headers are %v, want %v", got, want)
	}
	var body struct{ Error authresult.Refusal }
	if err := json.Unmarshal([]byte(refusal.GetBody()), &body); err != nil || body.Error.Code != code || body.Error.Message == "" || body.Error.Fix == "" {
		t.Errorf("the body is %s, %v", refusal.GetBody(), err)
	}
}

// headersOf returns headers that replace those of the request.
func headersOf(t *testing.T, options []*corev3.HeaderValueOption) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, option := range options {
		if option.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("%v does not replace the header", option)
		}
		all[option.GetHeader().GetKey()] = option.GetHeader().GetValue()
	}
	return all
}

func TestHeadersReplaceThoseOfTheClient(t *testing.T) {
	f := newFixture(t)
	secret := f.create(t, "acme")
	forged := map[string]string{"api-key": secret, "x-keytrail-workspace-id": "globex", "x-keytrail-admin": "true", "x_keytrail_key_id": "1", "x-other": "1"}
	raw := request("/v1/agents/a1", inAcme, nil)
	http := raw.GetAttributes().GetRequest().GetHttp()
	http.Headers, http.HeaderMap = nil, &corev3.HeaderMap{}
	for name, value := range forged {
		http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	for name, req := range map[string]*authv3.CheckRequest{"headers": request("/v1/agents/a1", inAcme, forged), "header_map": raw} {
		response, err := f.authorization.Check(f.as(t, access.Checker, "acme"), req)
		must(t, err)
		headers, removed := headersOf(t, response.GetOkResponse().GetHeaders()), response.GetOkResponse().GetHeadersToRemove()
		if headers["x-keytrail-workspace-id"] != "acme" || headers["x-keytrail-key-name"] != "Schl%C3%BCssel" || headers["x-keytrail-external-id"] != "customer%207" ||
			headers["x-keytrail-metadata"] != `{"plan":"gold"}` || headers["x-keytrail-key-last4"] != secret[len(secret)-4:] {
			t.Errorf("%s: the headers are %v", name, headers)
		}
		for _, header := range []string{"api-key", "x-keytrail-admin", "x_keytrail_key_id", "x-keytrail-error", "x-keytrail-error-code", "x-keytrail-report-token"} {
			if !slices.Contains(removed, header) {
				t.Errorf("%s: %s is not removed: %v", name, header, removed)
			}
		}
		for header := range headers {
			if slices.Contains(removed, header) {
				t.Errorf("%s: %s is set, and then removed", name, header)
			}
		}
		if slices.Contains(removed, "x-other") || response.GetDynamicMetadata().GetFields()["report_token"].GetStringValue() == "" {
			t.Errorf("%s: %v", name, response)
		}
	}
}

// TestTwoAPIKeysAreNone: Envoy joins two headers with a comma, or sends both.
func TestTwoAPIKeysAreNone(t *testing.T) {
	f := newFixture(t)
	secret := f.create(t, "acme")
	raw := request("/v1/agents/a1", inAcme, nil)
	http := raw.GetAttributes().GetRequest().GetHttp()
	twice := &corev3.HeaderValue{Key: "api-key", RawValue: []byte(secret)}
	http.Headers, http.HeaderMap = nil, &corev3.HeaderMap{Headers: []*corev3.HeaderValue{twice, twice}}
	for _, req := range []*authv3.CheckRequest{request("/v1/agents/a1", inAcme, map[string]string{"api-key": secret + "," + secret}), raw} {
		response, err := f.authorization.Check(f.as(t, access.Checker, "acme"), req)
		must(t, err)
		expectRefused(t, response, 401, "invalid_token")
	}
}

// TestImpossibleChecksAreErrors: then Envoy's configuration decides. What a client sends must not cause one.
func TestImpossibleChecksAreErrors(t *testing.T) {
	f := newFixture(t)
	headers := map[string]string{"api-key": f.create(t, "acme")}
	for name, tt := range map[string]struct {
		path       string
		extensions map[string]string
		workspaces []string
		refuse     error
		code       codes.Code // OK = an unknown path
	}{
		"a full trail":                         {"/v1/agents/a1", inAcme, []string{"acme"}, errFull, codes.Unavailable},
		"a bad workspace in the route":         {"/v1/agents/a1", map[string]string{"workspace_id": "ACME"}, []string{"*"}, nil, codes.InvalidArgument},
		"an unknown type in the route":         {"/v1/agents/a1", map[string]string{"workspace_id": "acme", "agent_type": "robot"}, []string{"acme"}, nil, codes.InvalidArgument},
		"no workspace, and a limited token":    {"/v1/agents/a1", nil, []string{"acme"}, nil, codes.PermissionDenied},
		"another workspace than the token's":   {"/v1/agents/a1", map[string]string{"workspace_id": "globex"}, []string{"acme"}, nil, codes.PermissionDenied},
		"an empty one, and a limited token":    {"/v1/agents/a1", map[string]string{"workspace_id": ""}, []string{"acme"}, nil, codes.PermissionDenied},
		"one in the path that is not held":     {"/w/globex/agents/a1", nil, []string{"acme"}, nil, codes.OK},
		"a bad one in the path":                {"/w/_unattributed/agents/a1", nil, []string{"*"}, nil, codes.OK},
		"a type in the path that has no scope": {"/v1/robots/a1", inAcme, []string{"acme"}, nil, codes.OK},
	} {
		f.setRefuse(tt.refuse)
		response, err := f.authorization.Check(f.as(t, access.Checker, tt.workspaces...), request(tt.path, tt.extensions, headers))
		if status.Code(err) != tt.code {
			t.Errorf("%s: %v, %v, want %v", name, response, err, tt.code)
		}
		if tt.code == codes.OK && err == nil {
			expectRefused(t, response, 403, authresult.UnknownPath.Code)
		}
	}
}
