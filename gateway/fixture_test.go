package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// services are both services. They record the last request and return minimal responses. GetKey fails for the workspaces
// "globex", "initech" and "hooli".
type services struct {
	authv1.UnimplementedCheckServiceServer
	authv1.UnimplementedKeyServiceServer
	authv1.UnimplementedSessionServiceServer
	logsv1.UnimplementedLogServiceServer

	mu   sync.Mutex
	last proto.Message
	// exportCancelled is closed when the caller of an export of acme has gone.
	exportCancelled chan struct{}
}

func (s *services) record(request proto.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = request
}

// received returns the last request since the previous call, or nil.
func (s *services) received() proto.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last
	s.last = nil
	return last
}

func (s *services) Check(_ context.Context, req *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	s.record(req)
	return &authv1.CheckResponse{HttpStatus: 401, Denial: &authv1.Denial{Code: "missing_token"}}, nil
}

func (s *services) Report(_ context.Context, req *authv1.ReportRequest) (*authv1.ReportResponse, error) {
	s.record(req)
	return &authv1.ReportResponse{}, nil
}

func (s *services) CreateKey(_ context.Context, req *authv1.CreateKeyRequest) (*authv1.CreateKeyResponse, error) {
	s.record(req)
	return &authv1.CreateKeyResponse{Key: &authv1.Key{Name: req.GetKey().GetName()}}, nil
}

func (s *services) GetKey(_ context.Context, req *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
	switch s.record(req); req.GetWorkspaceId() {
	case "globex":
		return nil, fault.New(fault.KeyNotFound, "key not found")
	case "initech":
		return nil, fault.New(fault.TokenInvalid, "who?")
	case "hooli":
		return nil, fault.New(fault.ChangeNotInForce, "not in force here yet")
	}
	return &authv1.GetKeyResponse{}, nil
}

func (s *services) UpdateKey(_ context.Context, req *authv1.UpdateKeyRequest) (*authv1.UpdateKeyResponse, error) {
	s.record(req)
	return &authv1.UpdateKeyResponse{Key: &authv1.Key{}}, nil
}

func (s *services) RotateKey(_ context.Context, req *authv1.RotateKeyRequest) (*authv1.RotateKeyResponse, error) {
	s.record(req)
	return &authv1.RotateKeyResponse{}, nil
}

func (s *services) GetCatalog(context.Context, *authv1.GetCatalogRequest) (*authv1.GetCatalogResponse, error) {
	return &authv1.GetCatalogResponse{}, nil
}

func (s *services) GetRequestLog(_ context.Context, req *logsv1.GetRequestLogRequest) (*logsv1.GetRequestLogResponse, error) {
	s.record(req)
	return &logsv1.GetRequestLogResponse{RequestLog: &logsv1.RequestLog{}}, nil
}

func (s *services) ListRequestLogs(ctx context.Context, req *logsv1.ListRequestLogsRequest) (*logsv1.ListRequestLogsResponse, error) {
	s.record(req)
	// Callers of the gateway must not see these.
	if err := errors.Join(grpc.SetHeader(ctx, metadata.Pairs("internal", "header")), grpc.SetTrailer(ctx, metadata.Pairs("internal", "trailer"))); err != nil {
		return nil, err
	}
	return &logsv1.ListRequestLogsResponse{}, nil
}

// exportedRows is how many rows an export of globex has: one a message.
const exportedRows = 5

// ExportRequestLogs sends rows of globex, and fails for others: for initech before the first message, for hooli after the third
// one. For acme, once in a test, it sends one message, and then waits for its caller.
func (s *services) ExportRequestLogs(
	req *logsv1.ExportRequestLogsRequest, stream grpc.ServerStreamingServer[logsv1.ExportRequestLogsResponse],
) error {
	s.record(req)
	if req.GetWorkspaceId() == "initech" {
		return fault.New(fault.StoreUnavailable, "no store")
	}
	for i := range int64(exportedRows) {
		if req.GetWorkspaceId() == "hooli" && i == 3 {
			return fault.New(fault.StoreUnavailable, "no store any more")
		}
		part := &logsv1.ExportRequestLogsResponse{
			RequestLogs: []*logsv1.RequestLog{{Id: fmt.Sprint("row-", i)}}, ResumeToken: fmt.Sprint("token-", i), RowCount: i + 1,
		}
		if part.Complete = part.GetRowCount() == exportedRows; part.GetComplete() {
			part.ResumeToken = ""
		}
		if err := stream.Send(part); err != nil {
			return err
		}
		if req.GetWorkspaceId() == "acme" {
			<-stream.Context().Done()
			close(s.exportCancelled)
			return context.Cause(stream.Context())
		}
	}
	return nil
}

// tailed is the first message of a tail.
var tailed = &logsv1.TailRequestLogsResponse{
	RequestLogs: []*logsv1.RequestLog{{Id: "row-0", Endpoint: "/a\nb", CallCount: 1}}, ResumeToken: "token-0",
}

// TailRequestLogs sends one message. Then it waits for its caller, ends for globex, and stops for hooli. It refuses initech.
func (s *services) TailRequestLogs(
	req *logsv1.TailRequestLogsRequest, stream grpc.ServerStreamingServer[logsv1.TailRequestLogsResponse],
) error {
	s.record(req)
	if req.GetWorkspaceId() == "initech" {
		return fault.New(fault.TooManyTails, "too many")
	}
	if err := stream.Send(tailed); err != nil {
		return err
	}
	switch req.GetWorkspaceId() {
	case "globex":
		return nil
	case "hooli":
		return fault.New(fault.ServerStopping, "stopping")
	}
	<-stream.Context().Done()
	return context.Cause(stream.Context())
}

// newGateway returns a gateway in front of the services. Requests have a token of all workspaces and of the role that
// they need, unless they have an Authorization header of their own.
func newGateway(t *testing.T, origins ...string) (http.Handler, *services) {
	t.Helper()
	return newGatewayWith(t, Config{CORSOrigins: origins})
}

// newGatewayWith returns a gateway with a configuration that lacks only the connections.
func newGatewayWith(t *testing.T, config Config) (http.Handler, *services) {
	t.Helper()
	signer := accesstest.NewSigner(t)
	handler, services := newGatewayOf(t, config, signer)
	return withToken(t, handler, signer), services
}

// withToken adds a token to requests that have none.
func withToken(t *testing.T, next http.Handler, signer *access.Signer) http.Handler {
	t.Helper()
	admin := accesstest.Bearer(t, signer, access.Admin, access.AllWorkspaces)
	checker := accesstest.Bearer(t, signer, access.Checker, access.AllWorkspaces)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			r.Header.Set("Authorization", admin)
			if r.URL.Path == "/v1/check" || r.URL.Path == "/v1/report" {
				r.Header.Set("Authorization", checker)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// newGatewayOf returns a gateway in front of services that accept the tokens of a signer.
func newGatewayOf(t *testing.T, config Config, signer *access.Signer) (http.Handler, *services) {
	t.Helper()
	verifier := accesstest.Verifier(t, signer)
	server, err := grpcserver.New(grpcserver.Config{
		Log: slog.New(slog.DiscardHandler), Authorizer: access.NewAuthorizer(verifier), MaxMessageBytes: grpcserver.AuthMessageBytes,
	})
	must(t, err)
	service := &services{exportCancelled: make(chan struct{})}
	authv1.RegisterCheckServiceServer(server, service)
	authv1.RegisterKeyServiceServer(server, service)
	authv1.RegisterSessionServiceServer(server, service)
	logsv1.RegisterLogServiceServer(server, service)
	ctx, stop := context.WithCancel(context.Background())
	conn := connect(t, func(l net.Listener) error { return server.Run(ctx, l) }, stop)
	config.Auth, config.Logs, config.Log, config.Verifier = conn, conn, slog.New(slog.DiscardHandler), verifier
	handler, err := New(t.Context(), config)
	must(t, err)
	return handler, service
}

// connect serves in memory until the test ends, and returns a connection to the server.
func connect(t *testing.T, serve func(net.Listener) error, stop func(), options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	listener, ended := bufconn.Listen(1<<20), make(chan error, 1)
	go func() { ended <- serve(listener) }()
	conn, err := grpc.NewClient("passthrough:services", append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		stop()
		must(t, <-ended)
	})
	return conn
}

// newGatewayAt returns a gateway to a connection. It adds a token to requests that have none.
func newGatewayAt(t *testing.T, conn *grpc.ClientConn, log *slog.Logger) http.Handler {
	t.Helper()
	signer := accesstest.NewSigner(t)
	handler, err := New(t.Context(), Config{Auth: conn, Logs: conn, Verifier: accesstest.Verifier(t, signer), Log: log})
	must(t, err)
	return withToken(t, handler, signer)
}

// serve returns the response to a request.
func serve(handler http.Handler, request *http.Request) *httptest.ResponseRecorder {
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	return response
}

// send sends one request. The header is in pairs of name and value.
func send(handler http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return serve(handler, request)
}

// expectError expects a google.rpc.Status in JSON with a reason and a message that contains a text.
func expectError(t *testing.T, response *httptest.ResponseRecorder, httpStatus int, reason fault.Reason, text string) {
	t.Helper()
	var st spb.Status
	if err := protojson.Unmarshal(response.Body.Bytes(), &st); err != nil {
		t.Errorf("the response %.200q is not a status: %v", response.Body, err)
		return
	}
	want := grpcserver.Status(fault.New(reason, "x")).Code()
	got := status.FromProto(&st)
	if response.Code != httpStatus || got.Code() != want || reasonOf(got) != reason.String() || !strings.Contains(got.Message(), text) {
		t.Errorf("got %d %.300s, want %d with %v, %v and %q", response.Code, response.Body, httpStatus, want, reason, text)
	}
	header := response.Header()
	if got := header.Get("Content-Type"); got != "application/json" {
		t.Errorf("the error is of type %q", got)
	}
	repeat := httpStatus == 503 && reason != fault.ChangeNotInForce || reason == fault.TooManySearches
	if retry := header.Get("Retry-After"); (retry == "1") != repeat || retry != "" && !repeat {
		t.Errorf("%d, %v: Retry-After is %q", httpStatus, reason, retry)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
