package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/internal/authresult"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// checkService decides as a function says. It records the last request.
type checkService struct {
	authv1.UnimplementedCheckServiceServer
	decide func(*authv1.CheckRequest) (*authv1.CheckResponse, error)

	mu   sync.Mutex
	last *authv1.CheckRequest
}

func (s *checkService) Check(_ context.Context, req *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = req
	return s.decide(req)
}

// received returns the last request since the previous call, or nil.
func (s *checkService) received() *authv1.CheckRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last
	s.last = nil
	return last
}

// allowed is the response to an allowed call.
var allowed = &authv1.CheckResponse{
	Allowed: true, HttpStatus: 200, RequestLogId: "row", WorkspaceId: "acme", KeyId: "k", KeyName: "Schlüssel", KeyLast4: "abcd",
	ExternalId: "e 1", Metadata: map[string]string{"plan": "größer"}, ReportToken: "token",
}

// denied returns the response to a denied call, with the identity of its key.
func denied(httpStatus int32) *authv1.CheckResponse {
	return &authv1.CheckResponse{
		HttpStatus: httpStatus, RequestLogId: "row", WorkspaceId: "acme", KeyId: "k", KeyName: "n", KeyLast4: "abcd", ExternalId: "e",
		Metadata: map[string]string{"internal": "secret"}, ReportToken: "token",
		Denial: &authv1.Denial{Code: "disabled", Message: "The key — has been disabled", Fix: "Toggle it"},
	}
}

// proxied is a gateway that proxies call.
type proxied struct {
	http.Handler
	service *checkService
	signer  *access.Signer
	log     *bytes.Buffer
}

// newProxied returns a gateway whose service allows every call.
func newProxied(t *testing.T, config Config) *proxied {
	t.Helper()
	return newProxiedOf(t, config, accesstest.NewSigner(t))
}

// newProxiedOf returns such a gateway that accepts the tokens of a signer.
func newProxiedOf(t *testing.T, config Config, signer *access.Signer) *proxied {
	t.Helper()
	p := &proxied{service: &checkService{}, signer: signer, log: &bytes.Buffer{}}
	p.service.decide = func(*authv1.CheckRequest) (*authv1.CheckResponse, error) { return allowed, nil }
	verifier := accesstest.Verifier(t, p.signer)
	server, err := grpcserver.New(grpcserver.Config{
		Log: slog.New(slog.DiscardHandler), Authorizer: access.NewAuthorizer(verifier), MaxMessageBytes: grpcserver.AuthMessageBytes,
	})
	must(t, err)
	authv1.RegisterCheckServiceServer(server, p.service)
	ctx, stop := context.WithCancel(context.Background())
	conn := connect(t, func(l net.Listener) error { return server.Run(ctx, l) }, stop)
	config.Auth, config.Logs, config.Verifier, config.Log = conn, conn, verifier, slog.New(slog.NewTextHandler(p.log, nil))
	if config.AgentPaths == nil {
		config.AgentPaths, err = agentpath.Parse([]string{"/v1/{agent_type}s/{agent_id}", "/in/{workspace_id}/{agent_type}/{agent_id}"})
		must(t, err)
	}
	p.Handler, err = New(t.Context(), config)
	must(t, err)
	return p
}

// forward sends a request of a proxy, with a token of the role checker for all workspaces unless the header has Authorization.
// The header is in pairs of name and value.
func (p *proxied) forward(t *testing.T, query string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), "GET", forwardAuthPath+query, nil)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	if request.Header["Authorization"] == nil {
		request.Header.Set("Authorization", accesstest.Bearer(t, p.signer, access.Checker, access.AllWorkspaces))
	}
	return serve(p, request)
}

// call are the headers of a call as Caddy and Traefik send them.
var call = []string{"X-Forwarded-Method", "POST", "X-Forwarded-Uri", "/v1/voice-agents/a%201/calls?secret=1", "Api-Key", "sk_1"}

// agent are the headers with the agent, which count only if the query says so.
var agent = []string{"X-Keytrail-Agent-Type", "data_agent", "X-Keytrail-Agent-Id", "b/1"}

// with returns headers with others.
func with(headers []string, others ...string) []string {
	return slices.Concat(headers, others)
}

// expectRefusal expects a response with a refusal in its body and in its headers, without an identity.
func expectRefusal(t *testing.T, name string, response *httptest.ResponseRecorder, want authresult.Refusal) {
	t.Helper()
	header := response.Header()
	var body, inHeader struct{ Error authresult.Refusal }
	err := errors.Join(json.Unmarshal(response.Body.Bytes(), &body), json.Unmarshal([]byte(header.Get(authresult.ErrorHeader)), &inHeader))
	if err != nil || response.Code != want.Status || body.Error.Code != want.Code ||
		header.Get("Content-Type") != "application/json" || header.Get(authresult.ErrorCodeHeader) != want.Code ||
		inHeader != body {
		t.Errorf("%s: got %d %s %v (%v), want %+v", name, response.Code, response.Body, header, err, want)
	}
	if challenge := header.Get("WWW-Authenticate"); (challenge != "") != (want.Status == 401) {
		t.Errorf("%s: %d with WWW-Authenticate %q", name, response.Code, challenge)
	}
	for _, h := range authresult.Identity(nil) {
		if values := header.Values(h.Name); len(values) != 1 || values[0] != "" && h.Name != authresult.RequestLogIDHeader {
			t.Errorf("%s: %s is %q", name, h.Name, values)
		}
	}
}
