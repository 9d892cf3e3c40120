package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/keytrail/keytrail/cli"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/testing/pgserver"
	"github.com/keytrail/keytrail/internal/testing/pgtest"
	"github.com/keytrail/keytrail/internal/uuid7"
)

const tailPath = "/v1/workspaces/acme/request-logs:tail"

// logReplicas are two log services on one database, and a gateway.
type logReplicas struct {
	t        *testing.T
	postgres *pgserver.Server
	signer   *access.Signer
	replicas [2]*daemon
	clients  [2]logsv1.LogServiceClient
	// both is a client of both replicas.
	both logsv1.LogServiceClient
	// rest is the address of the gateway to the first replica.
	rest string
}

func newLogReplicas(t *testing.T) *logReplicas {
	t.Helper()
	signer, keyFile := newSigner(t)
	r := &logReplicas{t: t, postgres: pgtest.Private(t), signer: signer, rest: stableAddr(t)}
	var addrs []string
	for i := range r.replicas {
		addrs = append(addrs, stableAddr(t))
		r.replicas[i] = newDaemon(t, "logsvc", stableAddr(t), "--database-url", r.postgres.URL("postgres"), "--logs-addr", addrs[i],
			"--token-keys", keyFile)
		r.clients[i] = logsv1.NewLogServiceClient(dial(t, addrs[i], credentialsFrom(t, signer)))
	}
	r.both = logsv1.NewLogServiceClient(dialAll(t, addrs, credentialsFrom(t, signer)))
	gateway := newDaemon(t, "gateway", stableAddr(t), "--gateway-addr", r.rest, "--auth-addr", stableAddr(t), "--logs-addr", addrs[0],
		"--token-keys", keyFile)
	for _, d := range append(r.replicas[:], gateway) {
		must(t, d.up())
	}
	for _, d := range r.replicas {
		d.awaitReady()
	}
	return r
}

// begun returns a row in progress of a time.
func begun(at time.Time) *logsv1.RequestLog {
	return &logsv1.RequestLog{Id: uuid7.New(at).String(), WorkspaceId: "acme", Method: "POST", Endpoint: "/v1/agents/a1", CallCount: 1}
}

// reportOf returns the record of a report.
func reportOf(row *logsv1.RequestLog) *logsv1.RequestLogRecord {
	reported := proto.CloneOf(row)
	reported.Status, reported.LatencyMs, reported.Endpoint = 200, new(2.5), "/cut"
	return &logsv1.RequestLogRecord{RequestLog: reported, FromReport: true}
}

// record stores a batch as the trail does: again and again, on one replica or the other, until it is acknowledged.
func (r *logReplicas) record(records ...*logsv1.RequestLogRecord) {
	for attempt := rand.IntN(2); r.t.Context().Err() == nil; attempt++ {
		_, err := r.clients[attempt%2].RecordRequestLogs(r.t.Context(), &logsv1.RecordRequestLogsRequest{Records: records})
		if err == nil {
			return
		}
		pause(r.t.Context(), 20*time.Millisecond)
	}
}

// recordInOrder stores batches of random sizes from several senders at once, each in the order of its records.
func (r *logReplicas) recordInOrder(bySender [][]*logsv1.RequestLogRecord) {
	var senders sync.WaitGroup
	for _, records := range bySender {
		senders.Go(func() {
			for len(records) > 0 {
				n := min(len(records), 1+rand.IntN(200))
				r.record(records[:n]...)
				records = records[n:]
			}
		})
	}
	senders.Wait()
}

// tailed is what streams have sent: of each row, whether it was seen in progress and reported. It is safe for concurrent use.
type tailed struct {
	mu       sync.Mutex
	begun    map[string]bool
	reported map[string]bool
}

func newTailed() *tailed { return &tailed{begun: map[string]bool{}, reported: map[string]bool{}} }

func (s *tailed) add(m *logsv1.TailRequestLogsResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range m.GetRequestLogs() {
		if row.LatencyMs != nil {
			s.reported[row.GetId()] = true
		} else {
			s.begun[row.GetId()] = true
		}
	}
}

// missing returns how many of the rows were not seen as they are at last.
func (s *tailed) missing(begun, reported []*logsv1.RequestLog) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range begun {
		if !s.begun[row.GetId()] {
			n++
		}
	}
	for _, row := range reported {
		if !s.reported[row.GetId()] {
			n++
		}
	}
	return n
}

// follow reads a stream until the test ends, and resumes it when it breaks. It returns once the stream is open.
func (r *logReplicas) follow(client logsv1.LogServiceClient, onBreak func(error)) *tailed {
	r.t.Helper()
	seen, open := newTailed(), make(chan struct{})
	opened := sync.OnceFunc(func() { close(open) })
	ctx, cancel := context.WithCancel(r.t.Context())
	var reading sync.WaitGroup
	reading.Go(func() {
		request := &logsv1.TailRequestLogsRequest{WorkspaceId: "acme"}
		for ctx.Err() == nil {
			stream, err := client.TailRequestLogs(ctx, request)
			for err == nil {
				var m *logsv1.TailRequestLogsResponse
				if m, err = stream.Recv(); err == nil {
					opened()
					seen.add(m)
					request.ResumeToken = m.GetResumeToken()
				}
			}
			if ctx.Err() == nil {
				onBreak(err)
				pause(ctx, 20*time.Millisecond)
			}
		}
	})
	r.t.Cleanup(func() { cancel(); reading.Wait() })
	select {
	case <-open:
	case <-time.After(waitTimeout):
		r.t.Fatal("the stream does not open")
	}
	return seen
}

// followREST reads a stream over REST until the test ends.
func (r *logReplicas) followREST(accept string) *tailed {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), "GET", "http://"+r.rest+tailPath, nil)
	must(r.t, err)
	request.Header.Set("Accept", accept)
	request.Header.Set("Authorization", "Bearer "+token(r.t, r.signer, access.Viewer, "acme"))
	response, err := http.DefaultClient.Do(request)
	must(r.t, err)
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || accept != "*/*" && kind != accept {
		r.t.Fatalf("the stream is %d, %s", response.StatusCode, kind)
	}
	seen := newTailed()
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewReader(response.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimPrefix(line, "data: ")
			if !strings.HasPrefix(line, "{") {
				continue
			}
			m := &logsv1.TailRequestLogsResponse{}
			if err := protojson.Unmarshal([]byte(line), m); err != nil {
				r.t.Errorf("the line %.200q: %v", line, err)
			}
			seen.add(m)
		}
	})
	r.t.Cleanup(func() { response.Body.Close(); reading.Wait() })
	return seen
}

// TestTailsGetEveryRowOfBothReplicas stores 10,000 calls and their reports, some of calls that are in blocks for long.
func TestTailsGetEveryRowOfBothReplicas(t *testing.T) {
	t.Parallel()
	const calls, unreported = 10_000, 1_000
	r := newLogReplicas(t)
	now := time.Now()
	// The rows of an ended day are sealed when the log service starts.
	sealed := make([]*logsv1.RequestLog, 1000)
	var records []*logsv1.RequestLogRecord
	for i := range sealed {
		sealed[i] = begun(now.Add(-3 * 24 * time.Hour).Add(time.Duration(i) * time.Second))
		records = append(records, &logsv1.RequestLogRecord{RequestLog: sealed[i]})
	}
	r.record(records...)
	r.replicas[0].restart()
	await(t, waitTimeout, func() bool { return r.replicas[0].count("keytrail_logs_sealed_rows_total") >= len(sealed) },
		func() any { return "nothing is sealed" })

	unbroken := func(err error) { t.Errorf("a stream ended with %v", err) }
	streams := map[string]*tailed{
		"of the first replica":  r.follow(r.clients[0], unbroken),
		"of the second replica": r.follow(r.clients[1], unbroken),
		"of lines":              r.followREST("*/*"),
		"of events":             r.followREST("text/event-stream"),
	}
	var waiting, reported []*logsv1.RequestLog
	senders := make([][]*logsv1.RequestLogRecord, 4)
	add := func(sender int, records ...*logsv1.RequestLogRecord) {
		senders[sender] = append(senders[sender], records...)
	}
	for i := range calls {
		row := begun(now.Add(-rand.N([]time.Duration{time.Second, time.Second, time.Minute, 24 * time.Hour}[i%4])))
		add(i%4, &logsv1.RequestLogRecord{RequestLog: row})
		if i < unreported {
			waiting = append(waiting, row)
			continue
		}
		reported = append(reported, row)
		add(rand.IntN(4), reportOf(row)) // perhaps before the record of the check is stored
	}
	for _, row := range sealed {
		reported = append(reported, row)
		add(rand.IntN(4), reportOf(row))
	}
	for _, records := range senders {
		shuffleAhead(records)
	}
	r.recordInOrder(senders)
	for name, seen := range streams {
		await(t, waitTimeout, func() bool { return seen.missing(waiting, reported) == 0 },
			func() any { return fmt.Sprintf("the stream %s lacks %d rows", name, seen.missing(waiting, reported)) })
	}
}

// shuffleAhead moves reports to a random place behind, as if their calls took different times.
func shuffleAhead(records []*logsv1.RequestLogRecord) {
	for i := range records {
		if j := i + rand.IntN(500); records[i].GetFromReport() && j < len(records) {
			records[i], records[j] = records[j], records[i]
		}
	}
}

// TestTailsResumeWithoutLoss breaks the connections on which the log services listen, and kills them in turn.
func TestTailsResumeWithoutLoss(t *testing.T) {
	t.Parallel()
	r := newLogReplicas(t)
	broken := make(chan error, 1000)
	onBreak := func(err error) { broken <- err }
	streams := []*tailed{r.follow(r.both, onBreak), r.follow(r.both, onBreak), r.follow(r.clients[1], onBreak)}
	var reported []*logsv1.RequestLog
	senders := make([][]*logsv1.RequestLogRecord, 4)
	for i := range 8_000 {
		row := begun(time.Now().Add(-rand.N(time.Second)))
		reported = append(reported, row)
		senders[i%4] = append(senders[i%4], &logsv1.RequestLogRecord{RequestLog: row}, reportOf(row))
	}
	recorded := make(chan struct{})
	go func() {
		defer close(recorded)
		for part := range 8 { // so that it takes a while
			var next [][]*logsv1.RequestLogRecord
			for _, records := range senders {
				next = append(next, records[part*len(records)/8:(part+1)*len(records)/8])
			}
			r.recordInOrder(next)
			pause(t.Context(), 300*time.Millisecond)
		}
	}()
	conn, err := pgx.Connect(t.Context(), r.postgres.URL("postgres"))
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	for i := range 3 {
		pause(t.Context(), 500*time.Millisecond)
		var ended int
		must(t, conn.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE query LIKE 'LISTEN %' AND pid <> pg_backend_pid()`).Scan(&ended))
		if i == 0 && ended != 2 {
			t.Errorf("%d connections listen, want one of each replica", ended)
		}
		must(t, r.replicas[i%2].signal(syscall.SIGKILL))
	}
	<-recorded
	for i, seen := range streams {
		await(t, waitTimeout, func() bool { return seen.missing(nil, reported) == 0 },
			func() any { return fmt.Sprintf("stream %d lacks %d rows", i, seen.missing(nil, reported)) })
	}
	if len(broken) < 3 {
		t.Errorf("only %d streams broke", len(broken))
	}
}

// TestReaderOfATailThatStopsIsDropped reads nothing while rows are stored.
func TestReaderOfATailThatStopsIsDropped(t *testing.T) {
	t.Parallel()
	r := newLogReplicas(t)
	request := &logsv1.TailRequestLogsRequest{WorkspaceId: "acme"}
	stream, err := r.clients[0].TailRequestLogs(t.Context(), request)
	must(t, err)
	m, err := stream.Recv()
	must(t, err)
	fast := r.follow(r.clients[0], func(err error) { t.Errorf("the other stream ended with %v", err) })
	var rows []*logsv1.RequestLog
	for range 12 {
		var records []*logsv1.RequestLogRecord
		for range 1000 {
			row := begun(time.Now())
			row.Endpoint = "/" + strings.Repeat("x", 1500)
			rows = append(rows, row)
			records = append(records, &logsv1.RequestLogRecord{RequestLog: row})
		}
		r.record(records...)
		await(t, waitTimeout, func() bool { return fast.missing(rows, nil) == 0 }, func() any { return fast.missing(rows, nil) })
	}
	seen := newTailed()
	for err == nil {
		seen.add(m)
		request.ResumeToken = m.GetResumeToken()
		m, err = stream.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(fmt.Sprint(status.Convert(err).Details()), "TAIL_TOO_SLOW") {
		t.Errorf("the stream ended with %v", err)
	}
	lacks := seen.missing(rows, nil)
	if lacks == 0 {
		t.Error("nothing is missing")
	}
	stream, err = r.clients[1].TailRequestLogs(t.Context(), request)
	must(t, err)
	for seen.missing(rows, nil) > 0 {
		m, err := stream.Recv()
		must(t, err)
		seen.add(m)
	}
	t.Logf("%d of %d rows came after the stream was resumed", lacks, len(rows))
}

// TestTailOverRESTEndsWithItsReplica stops the log service in an orderly way.
func TestTailOverRESTEndsWithItsReplica(t *testing.T) {
	t.Parallel()
	r := newLogReplicas(t)
	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.rest+tailPath, nil)
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+token(t, r.signer, access.Viewer, "acme"))
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	_, err = lines.ReadString('\n')
	must(t, err)
	began := time.Now()
	must(t, r.replicas[0].signal(syscall.SIGTERM))
	last, err := lines.ReadString('\n')
	must(t, err)
	var end struct {
		Error struct{ Code codes.Code }
	}
	if err := json.Unmarshal([]byte(last), &end); err != nil || end.Error.Code != codes.Unavailable {
		t.Errorf("the last line is %q, %v", last, err)
	}
	t.Logf("the stream ended after %v", time.Since(began))
}

// TestTailOnTheCommandLine restarts the log service, and interrupts the command.
func TestTailOnTheCommandLine(t *testing.T) {
	t.Parallel()
	s := newCluster(t)
	must(t, s.logs.up())
	s.logs.awaitReady()
	ctx, interrupt := context.WithCancel(t.Context())
	var printed, said output
	code := make(chan int, 1)
	go func() {
		code <- cli.Main(ctx, []string{"logs", "tail", "-w", "acme", "--method=POST", "--logs-addr", s.logsAddr,
			"--token", token(t, s.signer, access.Viewer, "acme")}, &printed, &said)
	}()
	await(t, waitTimeout, func() bool { return strings.Contains(said.String(), "Waiting") }, func() any { return said.String() })
	expect := func() {
		t.Helper()
		row := begun(time.Now())
		_, err := s.list.RecordRequestLogs(t.Context(), &logsv1.RecordRequestLogsRequest{
			Records: []*logsv1.RequestLogRecord{{RequestLog: row}},
		})
		must(t, err)
		await(t, waitTimeout, func() bool { return strings.Contains(printed.String(), row.GetId()) }, func() any { return printed.String() })
	}
	expect()
	s.logs.restart()
	expect()
	if !strings.Contains(said.String(), "resuming") || !strings.Contains(said.String(), "are printed again") {
		t.Errorf("said %q", said.String())
	}
	interrupt()
	if got := <-code; got != 0 {
		t.Errorf("interrupted, the exit code is %d: %s", got, said.String())
	}
}
