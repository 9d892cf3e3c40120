package gateway

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// bareService is a CheckService without interceptors. It records the call IDs and returns the result of checkError.
type bareService struct {
	authv1.UnimplementedCheckServiceServer
	checkError func(times int) error

	mu      sync.Mutex
	callIDs []string
}

func (s *bareService) Check(_ context.Context, req *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callIDs = append(s.callIDs, req.GetCallId())
	return &authv1.CheckResponse{}, s.checkError(len(s.callIDs))
}

// connectTo returns a connection to the service that retries calls, as the gateway's does.
func connectTo(t *testing.T, service *bareService) *grpc.ClientConn {
	t.Helper()
	server := grpc.NewServer()
	authv1.RegisterCheckServiceServer(server, service)
	return connect(t, server.Serve, server.Stop,
		grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{"service": "keytrail.auth.v1.CheckService"}], "retryPolicy": {
			"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}}]}`))
}

// TestRepeatedCheckIsOneCall retries a check: both attempts must have the same call ID, or the call would have two rows.
func TestRepeatedCheckIsOneCall(t *testing.T) {
	const own = "01890a5d-ac96-774b-bcce-b302099a8057"
	for name, tt := range map[string]struct{ body, want string }{
		"without a call id": {`{"agentType":"agent"}`, ""},
		"with one":          {`{"agentType":"agent","callId":"` + own + `"}`, own},
	} {
		service := &bareService{checkError: func(times int) error {
			if times == 1 {
				return status.Error(codes.Unavailable, "away")
			}
			return nil
		}}
		handler := newGatewayAt(t, connectTo(t, service), slog.New(slog.DiscardHandler))
		if response := send(handler, "POST", "/v1/check", tt.body); response.Code != 200 {
			t.Errorf("%s: %d %s", name, response.Code, response.Body)
		}
		got := service.callIDs
		if len(got) != 2 || got[0] != got[1] || tt.want != "" && got[0] != tt.want {
			t.Fatalf("%s: the service received the call IDs %q", name, got)
		}
		id, err := uuid.Parse(got[0])
		if err != nil || !uuid7.Valid(id) || tt.want == "" && time.Since(uuid7.Time(id)).Abs() > time.Minute {
			t.Errorf("%s: %s is not a UUIDv7 of now", name, got[0])
		}
		send(handler, "POST", "/v1/check", tt.body)
		last := service.callIDs[len(service.callIDs)-1]
		// The last 16 digits of the ids of one gateway are the same, which saves storage.
		if (last == got[0]) != (tt.want != "") || last[19:] != got[0][19:] {
			t.Errorf("%s: another call has the id %s after %s", name, last, got[0])
		}
	}
}

// TestErrorsOfGRPCItselfGetAReason calls a service whose errors have no google.rpc.ErrorInfo.
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
		conn := connectTo(t, &bareService{checkError: func(int) error { return status.Error(code, "SELECT secret") }})
		handler := newGatewayAt(t, conn, slog.New(slog.DiscardHandler))
		response := send(handler, "POST", "/v1/check", `{"agentType":"agent"}`)
		expectError(t, response, want.http, want.reason, "")
		if text := response.Body.String(); strings.Contains(text, "SELECT") {
			t.Errorf("%v: %s", code, text)
		}
	}
}
