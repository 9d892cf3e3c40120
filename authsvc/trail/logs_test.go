package trail

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// logService keeps what it is sent, as the real one does: a finished row is never replaced. It can be told to fail,
// and to refuse rows.
type logService struct {
	logsv1.UnimplementedLogServiceServer
	// answer is asked before a batch is stored: an error fails it, an id refuses that row.
	answer func(batch []*logsv1.RequestLog) (refuse string, err error)

	mu      sync.Mutex
	stored  map[string]*logsv1.RequestLog
	batches []int
	calls   int
}

func (s *logService) RecordRequestLogs(_ context.Context, req *logsv1.RecordRequestLogsRequest) (*logsv1.RecordRequestLogsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	answer, refuse := &logsv1.RecordRequestLogsResponse{}, ""
	if s.answer != nil {
		var err error
		if refuse, err = s.answer(req.GetRequestLogs()); err != nil {
			return nil, err
		}
	}
	s.batches = append(s.batches, len(req.GetRequestLogs()))
	for i, row := range req.GetRequestLogs() {
		if row.GetId() == refuse {
			answer.Refused = append(answer.Refused, &logsv1.RefusedRequestLog{Index: int32(i), Id: refuse, Reason: "id: too old"})
			continue
		}
		if s.stored[row.GetId()].GetStatus() == 0 {
			s.stored[row.GetId()] = row
		}
	}
	return answer, nil
}

// state is what has arrived so far: how many rows there are, the sizes of the batches and the calls it took.
func (s *logService) state() (rows int, batches []int, calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stored), slices.Clone(s.batches), s.calls
}

// status is the status of a stored row; -1 if there is none.
func (s *logService) status(id uuid.UUID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.stored[id.String()]
	if !ok {
		return -1
	}
	return int(row.GetStatus())
}

// logbook keeps what is logged: the message, and the number of rows that it is about.
type logbook struct {
	slog.Handler
	mu   sync.Mutex
	rows map[string]int
}

func (l *logbook) Handle(_ context.Context, record slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows[record.Message] += 0
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "rows" {
			l.rows[record.Message] += int(a.Value.Int64())
		}
		return true
	})
	return nil
}

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }

// logged answers how many rows a message was about, and whether it was logged at all.
func (l *logbook) logged(message string) (rows int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, ok = l.rows[message]
	return rows, ok
}

// start connects a new queue to the service over gRPC, in the bubble of the test.
func start(t *testing.T, service *logService) (*Queue, *logbook) {
	t.Helper()
	service.stored = map[string]*logsv1.RequestLog{}
	server, listener := grpc.NewServer(), bufconn.Listen(1<<20)
	logsv1.RegisterLogServiceServer(server, service)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:logsvc",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	book := &logbook{rows: map[string]int{}}
	return New(logsv1.NewLogServiceClient(conn), slog.New(book)), book
}

// run runs the queue; stop ends it and waits until it has wound up.
func run(t *testing.T, queue *Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- queue.Run(ctx) }()
	return sync.OnceFunc(func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the queue stopped with %v", err)
		}
	})
}

// calls are count allowed calls, in progress.
func calls(count int) []authsvc.Entry {
	rows := make([]authsvc.Entry, count)
	for i := range rows {
		rows[i] = authsvc.Entry{ID: uuid7.New(time.Now()), WorkspaceID: "acme"}
	}
	return rows
}

// finished is the row when its call has ended.
func finished(row authsvc.Entry) authsvc.Entry {
	row.Status = 200
	return row
}

func appendAll(t *testing.T, queue *Queue, rows ...authsvc.Entry) {
	t.Helper()
	if err := queue.Append(t.Context(), rows...); err != nil {
		t.Fatal(err)
	}
}
