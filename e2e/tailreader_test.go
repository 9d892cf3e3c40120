package e2e

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

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
	return &logsv1.RequestLog{
		Id: uuid7.New(at).String(), WorkspaceId: "acme", Method: "POST", Endpoint: "/v1/agents/a1", CallCount: 1,
	}
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
