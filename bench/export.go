package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/keytrail/keytrail/app"
	"github.com/keytrail/keytrail/cli"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/access"
	"github.com/keytrail/keytrail/internal/agentpath"
	"github.com/keytrail/keytrail/logsvc"
	"github.com/keytrail/keytrail/logsvc/sqlite"
)

// exportBench exports a workspace of `keytrail serve` in every way. Everything runs in one process, so that its heap is that of
// the service, the gateway and the CLI together.
type exportBench struct {
	Rows int `default:"1000000" help:"Number of request logs, spread over 29 days."`
}

// exported is what is measured: a running Keytrail with rows of one workspace.
type exported struct {
	server *app.Server
	signer *access.Signer
	dir    string
	rows   int
}

// Run measures the rates and the heap.
func (b *exportBench) Run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "keytrail-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	x := &exported{dir: dir}
	if x.rows, err = b.fill(ctx, dir); err != nil {
		return fmt.Errorf("fill the store: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended, err := x.start(ctx)
	if err != nil {
		return errors.Join(err, stopOf(cancel, ended))
	}
	defer func() { err = errors.Join(err, stopOf(cancel, ended)) }()
	r := report{"rows": float64(x.rows)}
	for _, way := range []struct {
		key, name string
		export    func(context.Context) error
	}{
		{"grpc", "gRPC stream", x.overGRPC},
		{"ndjson", "REST, NDJSON", func(ctx context.Context) error {
			return x.overREST(ctx, "ndjson", `{"row_count":%d,"complete":true}`)
		}},
		{"csv", "REST, CSV", func(ctx context.Context) error { return x.overREST(ctx, "csv", "# rows=%d") }},
		{"cli", "keytrail logs export --out", x.overCLI},
	} {
		before, began, stop := heap(), time.Now(), watchHeap()
		err := way.export(ctx)
		peak := stop()
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		r.add(way.key+"_rows_per_s", way.name, "%.0f rows/s", float64(x.rows)/time.Since(began).Seconds(), "")
		r.add(way.key+"_heap_mb", way.name+": growth of the heap", "%.1f MB", float64(peak-min(peak, before))/1e6, "≤ 50 MB")
	}
	return r.print()
}

// fill records and seals rows as the days would.
func (b *exportBench) fill(ctx context.Context, dir string) (rows int, err error) {
	store, err := sqlite.Open(ctx, filepath.Join(dir, "logs.db"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	const span = 29 * dayLength
	g := newGenerator(b.Rows, time.Now().Add(-span).Truncate(time.Second), span, false)
	p := newPassage(newClock(g.start), store, func(ctx context.Context, batches [][]logsvc.Entry) error {
		for _, batch := range batches {
			for i := range batch {
				batch[i].WorkspaceID = "ws-0000"
			}
		}
		return sendAll(ctx, 1, batches, store.Record)
	})
	err = p.run(ctx, g)
	return p.rows, err
}

// start runs Keytrail until ctx is done.
func (x *exported) start(ctx context.Context) (ended <-chan error, err error) {
	x.server, x.signer, ended, err = startServe(ctx, x.dir)
	return ended, err
}

// startServe runs Keytrail with its data in dir until ctx is done.
func startServe(ctx context.Context, dir string) (*app.Server, *access.Signer, <-chan error, error) {
	const anyPort = "127.0.0.1:0"
	config := app.ServeConfig{
		DataDir: dir, GatewayAddr: anyPort, AuthAddr: anyPort, LogsAddr: anyPort, OpsAddr: anyPort,
		Retention: logsvc.DefaultRetention, AgentTypes: []string{"agent"},
	}
	config.TrailFsync, config.TrailMaxBytes, config.TrailFull = 100*time.Millisecond, 64<<20, "allow"
	config.TrailStallTimeout, config.AgentPaths = 10*time.Second, []string{agentpath.DefaultTemplate}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server, err := app.NewServer(ctx, config, log, time.Now)
	if err != nil {
		return nil, nil, nil, err
	}
	running := make(chan error, 1)
	go func() { running <- server.Run(ctx) }()
	signer, err := access.ReadSigner(filepath.Join(dir, app.SigningKeyFile))
	return server, signer, running, err
}

// stopOf stops what has been started, if anything.
func stopOf(cancel func(), ended <-chan error) error {
	cancel()
	if ended == nil {
		return nil
	}
	return <-ended
}

func (x *exported) overGRPC(ctx context.Context) error {
	conn, err := connect(x.server.LogsAddr(), x.signer)
	if err != nil {
		return err
	}
	defer conn.Close()
	request := &logsv1.ExportRequestLogsRequest{WorkspaceId: "ws-0000"}
	stream, err := logsv1.NewLogServiceClient(conn).ExportRequestLogs(ctx, request)
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		switch {
		case err != nil:
			return err
		case m.GetComplete():
			return x.expect(m.GetRowCount())
		}
	}
}

// overREST downloads a file, and keeps its last line only.
func (x *exported) overREST(ctx context.Context, format, lastLine string) error {
	token, err := x.signer.Token(access.Grant{
		Role: access.Viewer, Workspaces: []string{"ws-0000"}, From: time.Now(), TTL: time.Hour,
	})
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s/v1/workspaces/ws-0000/request-logs:export?format=%s", x.server.GatewayAddr(), format)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return x.expectFile(response.Body, lastLine)
}

func (x *exported) overCLI(ctx context.Context) error {
	file := filepath.Join(x.dir, "export.csv")
	args := []string{
		"logs", "export", "-w", "ws-0000", "--format=csv", "--out", file, "--data-dir", x.dir, "--logs-addr", x.server.LogsAddr(),
	}
	if code := cli.Main(ctx, args, os.Stdout, os.Stderr); code != 0 {
		return fmt.Errorf("exit code %d", code)
	}
	written, err := os.Open(file)
	if err != nil {
		return err
	}
	defer written.Close()
	return x.expectFile(written, "# rows=%d")
}

// expectFile reads a file to its last line.
func (x *exported) expectFile(file io.Reader, lastLine string) error {
	lines, last := bufio.NewScanner(file), ""
	for lines.Scan() {
		last = lines.Text()
	}
	if lines.Err() != nil {
		return lines.Err()
	}
	if want := fmt.Sprintf(lastLine, x.rows); last != want {
		return fmt.Errorf("the last line is %q, want %q", last, want)
	}
	return nil
}

func (x *exported) expect(rows int64) error {
	if rows != int64(x.rows) {
		return fmt.Errorf("%d rows, want %d", rows, x.rows)
	}
	return nil
}
