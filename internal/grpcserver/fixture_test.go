package grpcserver

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
	"github.com/keytrail/keytrail/internal/testing/logtest"
)

// keys is a KeyService whose handlers the test provides.
type keys struct {
	authv1.UnimplementedKeyServiceServer
	get    func(context.Context, *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error)
	create func(*authv1.CreateKeyRequest)
	update func(*authv1.UpdateKeyRequest)
}

func (k *keys) GetKey(ctx context.Context, req *authv1.GetKeyRequest) (*authv1.GetKeyResponse, error) {
	return k.get(ctx, req)
}

func (k *keys) CreateKey(_ context.Context, req *authv1.CreateKeyRequest) (*authv1.CreateKeyResponse, error) {
	k.create(req)
	return &authv1.CreateKeyResponse{}, nil
}

func (k *keys) UpdateKey(_ context.Context, req *authv1.UpdateKeyRequest) (*authv1.UpdateKeyResponse, error) {
	k.update(req)
	return &authv1.UpdateKeyResponse{}, nil
}

// validRequest satisfies the rules of the contract.
var validRequest = &authv1.GetKeyRequest{WorkspaceId: "acme", KeyId: "01890a5d-ac96-774b-bcce-b302099a8057"}

// fixture is a server with a service, and a client of it.
type fixture struct {
	server   *Server
	client   authv1.KeyServiceClient
	conn     *grpc.ClientConn
	listener *bufconn.Listener
	log      *logtest.Buffer
	// token sends a valid token with each call.
	token grpc.DialOption
	// stop stops the server and returns the result of Run. It can be called again.
	stop func() error
}

func newFixture(t *testing.T, service *keys) *fixture {
	t.Helper()
	f := &fixture{log: &logtest.Buffer{}, listener: bufconn.Listen(1 << 20)}
	authorizer, credentials := accesstest.Pair(t)
	server, err := New(Config{Log: slog.New(slog.NewJSONHandler(f.log, nil)), Authorizer: authorizer, MaxMessageBytes: AuthMessageBytes})
	must(t, err)
	f.server = server
	authv1.RegisterKeyServiceServer(server, service)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, f.listener) }()
	f.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	f.token = credentials
	f.conn, err = f.dial(credentials)
	must(t, err)
	f.client = authv1.NewKeyServiceClient(f.conn)
	t.Cleanup(func() {
		must(t, f.conn.Close())
		must(t, f.stop())
	})
	return f
}

func (f *fixture) dial(options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:service", append(options,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return f.listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
}

// infoOf returns the google.rpc.ErrorInfo of an error, or nil.
func infoOf(err error) *errdetails.ErrorInfo {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// expectReason expects an error of this code and reason.
func expectReason(t *testing.T, what string, err error, code codes.Code, reason fault.Reason) {
	t.Helper()
	if info := infoOf(err); status.Code(err) != code || info.GetReason() != reason.String() || info.GetDomain() != "keytrail" {
		t.Errorf("%s: %v with %v, want %v with the reason %v", what, err, info, code, reason)
	}
}

// violations returns the field violations in the details of a status.
func violations(err error) map[string]string {
	found := map[string]string{}
	for _, detail := range status.Convert(err).Details() {
		bad, _ := detail.(*errdetails.BadRequest)
		for _, v := range bad.GetFieldViolations() {
			found[v.GetField()] = v.GetDescription()
		}
	}
	return found
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
