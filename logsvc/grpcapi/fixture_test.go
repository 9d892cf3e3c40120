package grpcapi_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/grpcserver"
	"github.com/keytrail/keytrail/internal/testing/accesstest"
	"github.com/keytrail/keytrail/internal/uuid7"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/grpcapi"
	"github.com/keytrail/keytrail/logsvc/sqlite"
)

// noon is the start time of the test clocks.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// fixture is a log service on SQLite behind a gRPC server, and a client.
type fixture struct {
	logsv1.LogServiceClient
	store   *sqlite.Store
	service *logsvc.Service
	clock   atomic.Pointer[time.Time]
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{}
	f.clock.Store(&noon)
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "logs.db"))
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	f.store, f.service = store, logsvc.NewService(store, logsvc.Config{
		Retention: logsvc.DefaultRetention, SearchBudget: time.Minute, Now: func() time.Time { return *f.clock.Load() },
	})
	f.LogServiceClient = logsv1.NewLogServiceClient(serveOver(t, f.service))
	return f
}

// serveOver serves the service with the interceptors of the product and returns a connection to it.
func serveOver(t *testing.T, service *logsvc.Service) *grpc.ClientConn {
	t.Helper()
	authorizer, credentials := accesstest.Pair(t)
	server, err := grpcserver.New(grpcserver.Config{Log: slog.New(slog.DiscardHandler), Authorizer: authorizer, MaxMessageBytes: grpcserver.LogsMessageBytes})
	must(t, err)
	grpcapi.Register(server, service)
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
	return conn
}

// entryAt returns a reported call of acme.
func entryAt(at time.Time) logsvc.Entry {
	return logsvc.Entry{ID: uuid7.New(at), WorkspaceID: "acme", Method: "GET", Endpoint: "/v1", Status: 200,
		Latency: time.Millisecond, Reported: true, CallCount: 1}
}

// record records entries, all of which must be accepted.
func (f *fixture) record(t *testing.T, entries ...logsvc.Entry) {
	t.Helper()
	rejected, err := f.service.Record(t.Context(), entries)
	must(t, err)
	if len(rejected) != 0 {
		t.Fatalf("rejected: %v", rejected)
	}
}

// row returns a denied call of acme with every field set.
func row() *logsv1.RequestLog {
	return &logsv1.RequestLog{
		Id: uuid7.New(noon).String(), Time: timestamppb.New(noon), WorkspaceId: "acme",
		KeyId: uuid7.New(noon).String(), KeyName: "production", KeyLast4: "abcd", ExternalId: "customer-7",
		AgentType: "data_agent", AgentId: "a1", Method: "POST", Endpoint: "/v1/agents/a1",
		Status: 403, ErrorCode: "scope_denied", Cause: "no_scope", LatencyMs: new(12.345), CallCount: 1,
	}
}

// batch returns a request with rows that checks made.
func batch(rows ...*logsv1.RequestLog) *logsv1.RecordRequestLogsRequest {
	request := &logsv1.RecordRequestLogsRequest{}
	for _, row := range rows {
		request.Records = append(request.Records, &logsv1.RequestLogRecord{RequestLog: row})
	}
	return request
}

// get returns a stored row of acme.
func (f *fixture) get(t *testing.T, id string) *logsv1.RequestLog {
	t.Helper()
	resp, err := f.GetRequestLog(t.Context(), &logsv1.GetRequestLogRequest{WorkspaceId: "acme", RequestLogId: id})
	must(t, err)
	return resp.GetRequestLog()
}

// expectInvalid expects INVALID_ARGUMENT that names a field.
func expectInvalid(t *testing.T, err error, field string) {
	t.Helper()
	if st := status.Convert(err); st.Code() != codes.InvalidArgument || !strings.Contains(st.Message(), field+": ") {
		t.Errorf("error %v, want INVALID_ARGUMENT with %q", err, field)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
