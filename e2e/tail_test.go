package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/keytrail/keytrail/cli"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
)

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
	for i := range 20 {
		pause(t.Context(), 150*time.Millisecond)
		var ended int
		must(t, conn.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE query LIKE 'LISTEN %' AND pid <> pg_backend_pid()`).Scan(&ended))
		if i == 0 && ended != 2 {
			t.Errorf("%d connections listen, want one of each replica", ended)
		}
		if i < 2 {
			must(t, r.replicas[i].signal(syscall.SIGKILL))
		}
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
		await(t, waitTimeout,
			func() bool { return strings.Contains(printed.String(), row.GetId()) }, func() any { return printed.String() })
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
