package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/access/accesstest"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/serve"
)

// services are both services: they keep the last request and answer as little as they can. The workspace "globex"
// has nothing, "initech" takes no token, and "hooli" is not ready.
type services struct {
	authv1.UnimplementedCheckServiceServer
	authv1.UnimplementedKeyServiceServer
	logsv1.UnimplementedLogServiceServer

	mu   sync.Mutex
	last proto.Message
}

func (s *services) keep(request proto.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = request
}

// took answers the last request since it was asked before; nil = none came through.
func (s *services) took() proto.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last
	s.last = nil
	return last
}

func (s *services) Check(_ context.Context, req *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	s.keep(req)
	return &authv1.CheckResponse{HttpStatus: 401, ErrorCode: "missing_token", Entry: &logsv1.RequestLog{}}, nil
}

func (s *services) Report(_ context.Context, req *authv1.ReportRequest) (*authv1.ReportResponse, error) {
	s.keep(req)
	return &authv1.ReportResponse{}, nil
}

func (s *services) CreateKey(_ context.Context, req *authv1.CreateKeyRequest) (*authv1.CreateKeyResponse, error) {
	s.keep(req)
	return &authv1.CreateKeyResponse{Key: &authv1.Key{Name: req.GetName()}}, nil
}

func (s *services) GetKey(_ context.Context, req *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
	switch s.keep(req); req.GetWorkspaceId() {
	case "globex":
		return nil, fault.New(fault.NotFound, "key not found")
	case "initech":
		return nil, status.Error(codes.Unauthenticated, "who?")
	case "hooli":
		return nil, fault.New(fault.Unavailable, "not in force here yet")
	}
	return &authv1.GetKeyResponse{}, nil
}

func (s *services) UpdateKey(_ context.Context, req *authv1.UpdateKeyRequest) (*authv1.UpdateKeyResponse, error) {
	s.keep(req)
	return &authv1.UpdateKeyResponse{Key: &authv1.Key{}}, nil
}

func (s *services) RotateKey(_ context.Context, req *authv1.RotateKeyRequest) (*authv1.RotateKeyResponse, error) {
	s.keep(req)
	return &authv1.RotateKeyResponse{}, nil
}

func (s *services) ListRequestLogs(_ context.Context, req *logsv1.ListRequestLogsRequest) (*logsv1.ListRequestLogsResponse, error) {
	s.keep(req)
	return &logsv1.ListRequestLogsResponse{}, nil
}

// newGateway makes a gateway in front of the services, which stand behind the interceptors of their real server.
func newGateway(t *testing.T, origins ...string) (http.Handler, *services) {
	t.Helper()
	return newGatewayWith(t, Config{CORSOrigins: origins})
}

// newGatewayWith makes a gateway of a configuration that lacks the connections only.
func newGatewayWith(t *testing.T, config Config) (http.Handler, *services) {
	t.Helper()
	gate, credentials := accesstest.Pair(t)
	return newGatewayOf(t, config, gate, credentials)
}

// newGatewayOf makes a gateway in front of services with a gate. The options are those of its connection to them.
func newGatewayOf(t *testing.T, config Config, gate *access.Gate, options ...grpc.DialOption) (http.Handler, *services) {
	t.Helper()
	server, err := serve.NewGRPC(slog.New(slog.DiscardHandler), gate, nil)
	must(t, err)
	behind := &services{}
	authv1.RegisterCheckServiceServer(server, behind)
	authv1.RegisterKeyServiceServer(server, behind)
	logsv1.RegisterLogServiceServer(server, behind)
	listener := bufconn.Listen(1 << 20)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	conn, err := grpc.NewClient("passthrough:services", append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		stop()
		must(t, <-ended)
	})
	config.Auth, config.Logs, config.Log = conn, conn, slog.New(slog.DiscardHandler)
	handler, err := New(t.Context(), config)
	must(t, err)
	return handler, behind
}

// send sends one request. The header is in pairs of name and value.
func send(handler http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

// expectError expects a google.rpc.Status in JSON with a text that holds what is said.
func expectError(t *testing.T, answer *httptest.ResponseRecorder, httpStatus, code int, says string) {
	t.Helper()
	var status struct {
		Code    int
		Message string
		Details []map[string]any
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil {
		t.Errorf("the answer %.200q is not JSON: %v", answer.Body, err)
	}
	if answer.Code != httpStatus || status.Code != code || !strings.Contains(status.Message, says) {
		t.Errorf("answered %d %.300s, want %d with the code %d and %q", answer.Code, answer.Body, httpStatus, code, says)
	}
	if got := answer.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("the error is of type %q", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
