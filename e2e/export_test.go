package e2e

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/keytrail/keytrail/cli"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/uuid7"
)

const exportPath = "/v1/workspaces/acme/request-logs:export"

// recordRows records rows of acme of the last hour, with endpoints of a length, and returns their ids, newest first.
func recordRows(t *testing.T, logs logsv1.LogServiceClient, count, length int) (ids []string) {
	t.Helper()
	now := time.Now()
	for len(ids) < count {
		batch := &logsv1.RecordRequestLogsRequest{}
		for range min(2000, count-len(ids)) {
			row := &logsv1.RequestLog{
				Id: uuid7.New(now.Add(-time.Duration(len(ids)) * time.Hour / time.Duration(count))).String(), WorkspaceId: "acme",
				Method: "GET", Endpoint: "/v1/" + strings.Repeat("x", length), Status: 200, LatencyMs: new(1.5), CallCount: 1,
			}
			ids = append(ids, row.GetId())
			batch.Records = append(batch.Records, &logsv1.RequestLogRecord{RequestLog: row})
		}
		response, err := logs.RecordRequestLogs(t.Context(), batch)
		if err != nil || len(response.GetRefused()) > 0 {
			t.Fatalf("record: %v, %v", response, err)
		}
	}
	return ids
}

// csvIDs returns the ids of a CSV file.
func csvIDs(t *testing.T, file []byte) (ids []string) {
	t.Helper()
	reader := csv.NewReader(bytes.NewReader(file))
	reader.Comment = '#'
	records, err := reader.ReadAll()
	if err != nil || len(records) == 0 {
		t.Fatalf("the CSV has %d records: %v", len(records), err)
	}
	for _, record := range records[1:] {
		ids = append(ids, record[0])
	}
	return ids
}

// interrupted calls a function at some of its writes.
type interrupted struct {
	bytes.Buffer
	writes, every int
	do            func()
}

func (w *interrupted) Write(text []byte) (int, error) {
	if w.writes++; w.writes%w.every == 0 {
		w.do()
	}
	return w.Buffer.Write(text)
}

// TestExportSurvivesKillsOfTheLogService kills the log service while the command line exports.
func TestExportSurvivesKillsOfTheLogService(t *testing.T) {
	t.Parallel()
	s := newCluster(t)
	if err := s.logs.up(); err != nil {
		t.Fatal(err)
	}
	s.logs.awaitReady()
	ids := recordRows(t, s.list, 20_000, 1000)
	kill := func() { // for its supervisor it is a crash
		if err := s.logs.signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	file, said := &interrupted{every: 25, do: kill}, &bytes.Buffer{}
	code := cli.Main(t.Context(), []string{"logs", "export", "-w", "acme", "--format=csv", "--logs-addr", s.logsAddr,
		"--token", token(t, s.signer, access.Viewer, "acme")}, file, said)
	if code != 0 || !strings.HasSuffix(file.String(), "\n# rows=20000\n") || !strings.Contains(said.String(), "resuming") {
		t.Errorf("exit code %d, said %s; the end is %q", code, said, file.String()[max(0, file.Len()-100):])
	}
	if got := csvIDs(t, file.Bytes()); !slices.Equal(got, ids) {
		t.Errorf("exported %d rows, want %d", len(got), len(ids))
	}
	var listed []string
	for _, row := range walk(t, s.list, &logsv1.ListRequestLogsRequest{WorkspaceId: "acme"}) {
		listed = append(listed, row.GetId())
	}
	if !slices.Equal(listed, ids) {
		t.Errorf("listed %d rows, want %d", len(listed), len(ids))
	}
	t.Logf("started %d times, %d writes: %s", s.logs.starts.Load(), file.writes, said)
}

// cutAfter is a proxy that resets each connection after some bytes.
func cutAfter(t *testing.T, upstream string, limit int64) *proxy {
	t.Helper()
	return newProxy(t, "tcp", upstream, func(client, server net.Conn) {
		_, _ = io.CopyN(client, server, limit)
		if conn, ok := client.(*net.TCPConn); ok {
			_ = conn.SetLinger(0)
		}
	})
}

func TestExportThroughACutConnection(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), time.Now)
	ids := recordRows(t, s.logs, 10_000, 1000)
	t.Run("command line", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "rows.ndjson")
		cut := cutAfter(t, s.server.LogsAddr(), 2<<20)
		code, _, said := s.command("logs", "export", "-w", "acme", "--out", path, "--logs-addr", cut.addr())
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file := string(text)
		lines := strings.Split(strings.TrimSuffix(file, "\n"), "\n")
		if code != 0 || lines[len(lines)-1] != `{"row_count":10000,"complete":true}` || strings.Count(said, "resuming") < 2 {
			t.Errorf("exit code %d, said %s; the last line is %s", code, said, lines[len(lines)-1])
		}
		if got := ndjsonIDs(lines[:len(lines)-1]); !slices.Equal(got, ids) {
			t.Errorf("exported %d rows, want %d", len(got), len(ids))
		}
	})
	t.Run("REST", func(t *testing.T) {
		cut := cutAfter(t, s.server.GatewayAddr(), 2<<20)
		text, err := s.download("http://"+cut.addr()+exportPath, nil)
		if err == nil || strings.Contains(text, `"complete"`) {
			t.Errorf("the download that was cut off looks complete: %.100q", text)
		}
		// The last line may be cut; the client goes on from the time of the last row that is whole.
		lines := strings.Split(text, "\n")
		got := ndjsonIDs(lines[:len(lines)-1])
		id, err := uuid.Parse(got[len(got)-1])
		if err != nil {
			t.Fatal(err)
		}
		rest, err := s.download("http://"+s.server.GatewayAddr()+exportPath, url.Values{
			"end_time": {uuid7.Time(id).Add(time.Millisecond).Format(time.RFC3339Nano)},
		})
		if err != nil {
			t.Fatal(err)
		}
		lines = strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
		got = append(got, ndjsonIDs(lines[:len(lines)-1])...)
		slices.Sort(got)
		got = slices.Compact(got)
		slices.Reverse(got)
		if !slices.Equal(got, ids) {
			t.Errorf("downloaded %d rows, want %d", len(got), len(ids))
		}
	})
}

// download returns what comes of an export over REST.
func (s *system) download(path string, query url.Values) (string, error) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, path+"?"+query.Encode(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token(access.Viewer, "acme"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, response.StatusCode, text)
	}
	return string(text), err
}

func ndjsonIDs(lines []string) (ids []string) {
	for _, line := range lines {
		var row struct{ ID string }
		_ = json.Unmarshal([]byte(line), &row) // its id is then empty
		ids = append(ids, row.ID)
	}
	return ids
}

// TestExportTakesLittleMemory exports 100,000 rows. `go run ./bench export` does it with a million.
func TestExportTakesLittleMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir)
	recordRows(t, logsv1.NewLogServiceClient(dial(t, p.logs, p.credentials())), 100_000, 100)
	for range 2 { // the first one seals the rows, which takes memory of its own
		p.terminate()
		p.expectEnd()
		p = startProcess(t, dir)
		p.await(func() bool {
			at, _ := metric(p.health, "keytrail_logs_seal_success_timestamp_seconds")
			return at > 0
		}, func() any { return p.printed })
	}
	heap := func() float64 {
		bytes, ok := metric(p.health, "go_memstats_heap_alloc_bytes")
		if !ok {
			t.Error("no metric of the heap")
		}
		return bytes
	}
	const limit = 50e6
	before, most := heap(), 0.0
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for ctx.Err() == nil {
			most = max(most, heap())
			pause(ctx, 10*time.Millisecond)
		}
	}()
	for range 3 {
		text, err := p.download("http://"+p.rest+exportPath, nil)
		if err != nil || !strings.HasSuffix(text, `{"row_count":100000,"complete":true}`+"\n") {
			t.Errorf("the download has %d bytes and ends with %v", len(text), err)
		}
	}
	command := exec.CommandContext(t.Context(), binary(t),
		"logs", "export", "-w", "acme", "--logs-addr", p.logs, "--data-dir", dir, "--out", filepath.Join(dir, "rows"))
	command.Env = append(os.Environ(), "GODEBUG=gctrace=1")
	traced, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%v %.1000s", err, traced)
	}
	stop()
	<-watched
	ofCommand := 0.0
	for _, found := range gcHeap.FindAllSubmatch(traced, -1) {
		size, _ := strconv.ParseFloat(string(found[1]), 64) // digits
		ofCommand = max(ofCommand, size*1e6)
	}
	t.Logf("serve: %.1f MB, at most %.1f MB; command line: %.1f MB", before/1e6, most/1e6, ofCommand/1e6)
	if most-before > limit || ofCommand > limit || ofCommand == 0 {
		t.Error("an export takes too much memory")
	}
}

// gcHeap matches the size of the heap before a garbage collection (package runtime, GODEBUG=gctrace=1).
var gcHeap = regexp.MustCompile(`cpu, (\d+)->\d+->\d+ MB`)
