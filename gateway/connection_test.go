package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

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

func TestErrorsOfAServicePassUnchanged(t *testing.T) {
	handler, _ := newGateway(t)
	expectError(t, send(handler, "GET", "/v1/workspaces/hooli/keys/"+keyID, ""), 503, fault.ChangeNotInForce, "not in force here yet")
}
