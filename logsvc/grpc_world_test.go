package logsvc_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/serve"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
)

// dial serves a new log service over gRPC, as a process does, and connects to it.
func dial(t *testing.T) (logsv1.LogServiceClient, *logsvc.Service, *clock) {
	t.Helper()
	service, clock := newService(t)
	gate, credentials := accesstest.Pair(t)
	server, err := serve.NewGRPC(slog.New(slog.DiscardHandler), gate, nil)
	must(t, err)
	logsvc.Register(server, service)
	listener := bufconn.Listen(1 << 20)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, listener) }()
	conn, err := grpc.NewClient("passthrough:logsvc",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()), credentials)
	must(t, err)
	t.Cleanup(func() {
		must(t, conn.Close())
		stop()
		must(t, <-ended)
	})
	return logsv1.NewLogServiceClient(conn), service, clock
}

// row is a denied call of acme, with every field.
func row() *logsv1.RequestLog {
	id := uuid7.New(noon)
	return &logsv1.RequestLog{
		Id: id.String(), Time: timestamppb.New(noon), WorkspaceId: "acme",
		KeyId: uuid7.New(noon).String(), KeyName: "production", KeyLast4: "abcd", ExternalId: "customer-7",
		AgentType: "data_agent", AgentId: "a1", Method: "POST", Endpoint: "/v1/agents/a1",
		Status: 403, ErrorCode: "scope_denied", Cause: "no_scope", LatencyMs: new(12.345), CallCount: 1,
	}
}

// batch is a request of rows that checks made.
func batch(rows ...*logsv1.RequestLog) *logsv1.RecordRequestLogsRequest {
	request := &logsv1.RecordRequestLogsRequest{}
	for _, row := range rows {
		request.Records = append(request.Records, &logsv1.RequestLogRecord{RequestLog: row})
	}
	return request
}

// get returns a stored row of acme.
func get(t *testing.T, logs logsv1.LogServiceClient, id string) *logsv1.RequestLog {
	t.Helper()
	answer, err := logs.GetRequestLog(t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: "acme", RequestLogId: id})
	must(t, err)
	return answer.GetRequestLog()
}

// expectBad expects INVALID_ARGUMENT that names a field.
func expectBad(t *testing.T, err error, field string) {
	t.Helper()
	if st := status.Convert(err); st.Code() != codes.InvalidArgument || !strings.Contains(st.Message(), field+": ") {
		t.Errorf("error %v, want INVALID_ARGUMENT with %q", err, field)
	}
}
