package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/fault"
)

// TestErrorOfAConnectionHasNoAddress calls an unreachable service, whose address callers must not see.
func TestErrorOfAConnectionHasNoAddress(t *testing.T) {
	conn, err := grpc.NewClient("dns:///127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close()) })
	var log bytes.Buffer
	handler := newGatewayAt(t, conn, slog.New(slog.NewTextHandler(&log, nil)))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx        context.Context
		timeout    string
		httpStatus int
		reason     fault.Reason
		says       string
	}{
		"refused":   {t.Context(), "1M", 503, fault.ServiceUnreachable, "cannot be reached"},
		"too late":  {t.Context(), "1n", 504, fault.DeadlineExceeded, "in time"},
		"cancelled": {cancelled, "1M", 499, fault.CallCancelled, "cancelled"},
	} {
		for _, path := range []string{"/v1/workspaces/acme/keys", "/v1/workspaces/acme/request-logs"} {
			request := httptest.NewRequestWithContext(tt.ctx, "GET", path, nil)
			request.Header.Set("Grpc-Timeout", tt.timeout)
			response := serve(handler, request)
			expectError(t, response, tt.httpStatus, tt.reason, tt.says)
			if text := response.Body.String(); strings.Contains(text, "127.0.0.1") || strings.Contains(text, "rpc error") || strings.Contains(text, "transport") {
				t.Errorf("%s: %s contains %s", name, path, text)
			}
		}
	}
	if strings.Count(log.String(), "127.0.0.1:1") != 2 {
		t.Errorf("logged %s, want the two calls that were refused", &log)
	}
}

// begunService sends the first message of an export, and then waits for its caller.
type begunService struct {
	logsv1.UnimplementedLogServiceServer
}

func (begunService) ExportRequestLogs(
	_ *logsv1.ExportRequestLogsRequest, stream grpc.ServerStreamingServer[logsv1.ExportRequestLogsResponse],
) error {
	if err := stream.Send(&logsv1.ExportRequestLogsResponse{ResumeToken: "token"}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// firstWrite calls a function at the first write of a response.
type firstWrite struct {
	*httptest.ResponseRecorder
	do func()
}

func (w firstWrite) Write(text []byte) (int, error) {
	w.do()
	return w.ResponseRecorder.Write(text)
}

// TestErrorOfAStreamHasNoAddress breaks the connection to a service after the first message, which is not logged as an error.
func TestErrorOfAStreamHasNoAddress(t *testing.T) {
	server := grpc.NewServer()
	logsv1.RegisterLogServiceServer(server, begunService{})
	var log bytes.Buffer
	handler := newGatewayAt(t, connect(t, server.Serve, server.Stop), slog.New(slog.NewTextHandler(&log, nil)))
	response := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("the response is not broken off: %v", p)
			}
		}()
		handler.ServeHTTP(firstWrite{response, sync.OnceFunc(server.Stop)}, httptest.NewRequest("GET", exportPath("acme"), nil))
	}()
	text := response.Body.String()
	if !strings.Contains(text, fault.ServiceUnreachable.String()) || !strings.Contains(text, `"resume_token":"token"`) ||
		strings.Contains(text, "transport") || strings.Contains(text, "rpc error") || !strings.Contains(log.String(), "rpc error") ||
		strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("got %s, logged %s", text, &log)
	}
}

func TestErrorsOfAServicePassUnchanged(t *testing.T) {
	handler, _ := newGateway(t)
	expectError(t, send(handler, "GET", "/v1/workspaces/hooli/keys/"+keyID, ""), 503, fault.ChangeNotInForce, "not in force here yet")
}
