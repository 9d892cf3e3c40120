package authsvc_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/keytrail/keytrail/authsvc"
	"github.com/keytrail/keytrail/internal/fault"
	"github.com/keytrail/keytrail/internal/serve"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
)

// dial serves the world over gRPC, as a process does, and connects to it.
func (w *world) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	gate, credentials := accesstest.Pair(t)
	server, err := serve.NewGRPC(slog.New(slog.DiscardHandler), gate, nil)
	must(t, err)
	authsvc.Register(server, w.checker, w.keys)
	listener := bufconn.Listen(1 << 20)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	conn, err := grpc.NewClient("passthrough:authsvc",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()), credentials)
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		stop()
		must(t, <-ended)
	})
	return conn
}

// expectBad expects INVALID_ARGUMENT with a violation of a field, in the text and in the details.
func expectBad(t *testing.T, err error, field string) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != codes.InvalidArgument || !strings.Contains(st.Message(), field+": ") {
		t.Errorf("error %v, want INVALID_ARGUMENT with %q", err, field)
		return
	}
	for _, detail := range st.Details() {
		bad, _ := detail.(*errdetails.BadRequest)
		for _, v := range bad.GetFieldViolations() {
			if v.GetField() == field && v.GetDescription() != "" {
				return
			}
		}
	}
	t.Errorf("no violation of %q in the details %v", field, st.Details())
}

func expectStatus(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("error %v, want %v", err, want)
	}
}

// expectReason expects a code, and the reason in the details.
func expectReason(t *testing.T, err error, code codes.Code, reason fault.Reason) *errdetails.ErrorInfo {
	t.Helper()
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && status.Code(err) == code && info.GetReason() == reason.String() {
			return info
		}
	}
	t.Errorf("error %v with the details %v, want %v and %v", err, status.Convert(err).Details(), code, reason)
	return nil
}
