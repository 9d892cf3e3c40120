package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// bareServices are a CheckService behind no interceptors, which answers what the test says and keeps the call ids.
type bareServices struct {
	authv1.UnimplementedCheckServiceServer
	answer func(times int) error

	mu      sync.Mutex
	callIDs []string
}

func (s *bareServices) Check(_ context.Context, req *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callIDs = append(s.callIDs, req.GetCallId())
	return &authv1.CheckResponse{}, s.answer(len(s.callIDs))
}

// connectTo makes a connection to the services that repeats calls, as that of a gateway does.
func connectTo(t *testing.T, services *bareServices) *grpc.ClientConn {
	t.Helper()
	server, listener, ended := grpc.NewServer(), bufconn.Listen(1<<20), make(chan error, 1)
	authv1.RegisterCheckServiceServer(server, services)
	go func() { ended <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:services",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{"service": "keytrail.auth.v1.CheckService"}], "retryPolicy": {
			"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}}]}`))
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		server.Stop()
		must(t, <-ended)
	})
	return conn
}

// newGatewayAt returns a gateway of a connection, whose requests have a token.
func newGatewayAt(t *testing.T, conn *grpc.ClientConn) http.Handler {
	t.Helper()
	signer := accesstest.NewSigner(t)
	handler, err := New(t.Context(), Config{
		Auth: conn, Logs: conn, Verifier: accesstest.Verifier(t, signer), Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	return withToken(t, handler, signer)
}

// TestRepeatedCheckIsOneCall has a service that takes a check at the second attempt: both must have the same call id,
// or the call would have two rows.
func TestRepeatedCheckIsOneCall(t *testing.T) {
	const own = "01890a5d-ac96-774b-bcce-b302099a8057"
	for name, tt := range map[string]struct{ body, want string }{
		"without a call id": {`{"agentType":"agent"}`, ""},
		"with one":          {`{"agentType":"agent","callId":"` + own + `"}`, own},
	} {
		services := &bareServices{answer: func(times int) error {
			if times == 1 {
				return status.Error(codes.Unavailable, "away")
			}
			return nil
		}}
		handler := newGatewayAt(t, connectTo(t, services))
		if answer := send(handler, "POST", "/v1/check", tt.body); answer.Code != 200 {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
		got := services.callIDs
		if len(got) != 2 || got[0] != got[1] || tt.want != "" && got[0] != tt.want {
			t.Fatalf("%s: the service saw the call ids %q", name, got)
		}
		id, err := uuid.Parse(got[0])
		if err != nil || !uuid7.Valid(id) || tt.want == "" && time.Since(uuid7.Time(id)).Abs() > time.Minute {
			t.Errorf("%s: %s is no UUIDv7 of now", name, got[0])
		}
		send(handler, "POST", "/v1/check", tt.body)
		if last := services.callIDs[len(services.callIDs)-1]; (last == got[0]) != (tt.want != "") {
			t.Errorf("%s: another call has the id %s after %s", name, last, got[0])
		}
	}
}

// TestErrorsOfGRPCItselfGetAReason has a service whose own gRPC answers without a google.rpc.ErrorInfo.
func TestErrorsOfGRPCItselfGetAReason(t *testing.T) {
	for code, want := range map[codes.Code]struct {
		http   int
		reason fault.Reason
	}{
		codes.Internal:          {500, fault.InternalError},
		codes.ResourceExhausted: {500, fault.InternalError},
		codes.Unknown:           {500, fault.InternalError},
		codes.Unimplemented:     {501, fault.MethodUnknown},
		codes.Unavailable:       {503, fault.ServiceUnreachable},
		codes.DeadlineExceeded:  {504, fault.DeadlineExceeded},
		codes.Canceled:          {499, fault.CallCancelled},
	} {
		conn := connectTo(t, &bareServices{answer: func(int) error { return status.Error(code, "SELECT secret") }})
		handler := newGatewayAt(t, conn)
		answer := send(handler, "POST", "/v1/check", `{"agentType":"agent"}`)
		expectError(t, answer, want.http, want.reason, "")
		if text := answer.Body.String(); strings.Contains(text, "SELECT") {
			t.Errorf("%v: %s", code, text)
		}
	}
}
