package trail

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/keytrail/keytrail/authsvc"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// logService stores what it receives, merged as the real one does. With respond it can fail, hang, and refuse rows.
type logService struct {
	logsv1.UnimplementedLogServiceServer
	// respond is called before a batch is stored; an error fails the call. It may be called concurrently.
	respond func(ctx context.Context, batch []*logsv1.RequestLogRecord) (refused []*logsv1.RefusedRequestLog, err error)

	mu      sync.Mutex
	stored  map[rowKey]*logsv1.RequestLogRecord
	batches []int
	// calls are the times of all calls; now and most are the current and the maximum number of concurrent calls.
	calls     []time.Time
	now, most int
}

func (s *logService) RecordRequestLogs(ctx context.Context, req *logsv1.RecordRequestLogsRequest) (*logsv1.RecordRequestLogsResponse, error) {
	s.begin()
	answer := &logsv1.RecordRequestLogsResponse{}
	var err error
	if s.respond != nil {
		answer.Refused, err = s.respond(ctx, req.GetRecords())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	if err != nil {
		return nil, err
	}
	s.batches = append(s.batches, len(req.GetRecords()))
	for i, record := range req.GetRecords() {
		if slices.ContainsFunc(answer.Refused, func(r *logsv1.RefusedRequestLog) bool { return int(r.GetIndex()) == i }) {
			continue
		}
		key := keyOf(record)
		if there, known := s.stored[key]; known {
			record = mergeRecords(there, record)
		}
		s.stored[key] = record
	}
	return answer, nil
}

func (s *logService) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, time.Now())
	s.now++
	s.most = max(s.most, s.now)
}

// state returns how many rows have arrived, the sizes of the batches, largest first, and the times of the calls.
func (s *logService) state() (rows int, batches []int, calls []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batches = slices.Clone(s.batches)
	slices.SortFunc(batches, func(a, b int) int { return b - a })
	return len(s.stored), batches, slices.Clone(s.calls)
}

// inFlight returns the current and the maximum number of concurrent calls.
func (s *logService) inFlight() (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.most
}

// row returns the stored row of an id in the workspace acme, or nil.
func (s *logService) row(id uuid.UUID) *logsv1.RequestLogRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored[rowKey{"acme", id.String()}]
}

// status returns the status of such a row, or -1.
func (s *logService) status(id uuid.UUID) int {
	row := s.row(id)
	if row == nil {
		return -1
	}
	return int(row.GetRequestLog().GetStatus())
}

// failing returns an error n times, or always if n is negative.
func failing(n int, err error) func(context.Context, []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
	var mu sync.Mutex
	return func(context.Context, []*logsv1.RequestLogRecord) ([]*logsv1.RefusedRequestLog, error) {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 {
			return nil, nil
		}
		n--
		return nil, err
	}
}

// logRecorder records log lines.
type logRecorder struct {
	slog.Handler // nil: groups are not used
	mu           sync.Mutex
	lines        []slog.Record
}

func (l *logRecorder) Handle(_ context.Context, record slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, record)
	return nil
}

func (l *logRecorder) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l *logRecorder) Enabled(context.Context, slog.Level) bool { return true }

// logged returns how many lines a message has, and the sum of its numbers under key.
func (l *logRecorder) logged(message, key string) (lines, sum int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, record := range l.lines {
		if record.Message != message {
			continue
		}
		lines++
		record.Attrs(func(a slog.Attr) bool {
			if a.Key == key {
				sum += int(a.Value.Int64())
			}
			return true
		})
	}
	return lines, sum
}

// text returns the last line of a message, with its attributes.
func (l *logRecorder) text(message string) (text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, record := range l.lines {
		if record.Message == message {
			text = record.Message
			record.Attrs(func(a slog.Attr) bool {
				text += " " + a.String()
				return true
			})
		}
	}
	return text
}

// fixture is a trail in front of a log service.
type fixture struct {
	*Trail
	dir      string
	service  *logService
	book     *logRecorder
	registry *prometheus.Registry
}

// start opens a trail in dir, and connects it to the service over gRPC.
func start(t *testing.T, dir string, service *logService) *fixture {
	t.Helper()
	service.stored = map[rowKey]*logsv1.RequestLogRecord{}
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
	w := &fixture{dir: dir, service: service, book: &logRecorder{}}
	w.open(t, Config{MaxBytes: 1 << 30, Fsync: 100 * time.Millisecond, Client: logsv1.NewLogServiceClient(conn)})
	return w
}

// open opens the trail of the fixture, and closes it at the end of the test.
func (w *fixture) open(t *testing.T, config Config) {
	t.Helper()
	w.registry = prometheus.NewRegistry()
	config.Dir, config.Log, config.Metrics = w.dir, slog.New(w.book), w.registry
	config.StallTimeout = cmp.Or(config.StallTimeout, time.Minute) // other tests may keep the disk busy
	var err error
	if w.Trail, err = Open(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close(t) })
}

// close closes the trail, once.
func (w *fixture) close(t *testing.T) {
	t.Helper()
	if w.Trail == nil {
		return
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	w.Trail = nil
}

// run starts Run; stop ends it and waits until it has returned.
func (w *fixture) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (w *fixture) append(t *testing.T, rows ...authsvc.Entry) {
	t.Helper()
	if err := w.Append(t.Context(), rows...); err != nil {
		t.Fatal(err)
	}
}

// expect compares what has arrived with the number of rows and the sizes of the batches, largest first.
func (w *fixture) expect(t *testing.T, when string, wantRows int, wantBatches ...int) {
	t.Helper()
	if rows, batches, _ := w.service.state(); rows != wantRows || !slices.Equal(batches, wantBatches) {
		t.Errorf("%s: %d rows have arrived in batches of %v, want %d in %v", when, rows, batches, wantRows, wantBatches)
	}
}

// left returns what the next process would ship if this one were killed now.
func (w *fixture) left(t *testing.T) *logService {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	return shipAll(t, dir)
}

// shipAll opens the trail in dir, ships all of it, and returns the log service.
func shipAll(t *testing.T, dir string) *logService {
	t.Helper()
	next := start(t, dir, &logService{})
	stop := next.run(t)
	pass(2 * linger)
	stop()
	if waiting := next.wal.BacklogBytes(); waiting != 0 {
		t.Errorf("%d bytes are not shipped", waiting)
	}
	next.close(t)
	return next.service
}

// pass waits for d and until every goroutine is blocked.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// calls returns entries of allowed calls in progress.
func calls(count int) []authsvc.Entry {
	rows := make([]authsvc.Entry, count)
	for i := range rows {
		rows[i] = authsvc.Entry{ID: uuid7.New(time.Now()), WorkspaceID: "acme", Endpoint: "/v1/runs"}
	}
	return rows
}

// finished returns the reported entry of a call.
func finished(row authsvc.Entry) authsvc.Entry {
	row.Status, row.Reported, row.FromReport = 200, true, true
	return row
}
