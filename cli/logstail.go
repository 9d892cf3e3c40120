package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

type logsTail struct {
	logsFlags     `embed:""`
	workspaceFlag `embed:""`
	filterFlags   `embed:""`
	Output        string `short:"o" enum:"table,json" default:"table" help:"Output format: table, or json for one row a line."`
}

// Run prints rows until ctx is done, which is no error.
func (c *logsTail) Run(ctx context.Context, to console) error {
	request := &logsv1.TailRequestLogsRequest{
		WorkspaceId: c.Workspace, StatusClass: c.StatusClass, KeyId: c.KeyID, Method: c.Method, Endpoint: c.Endpoint,
		ErrorCode: c.ErrorCode, AgentType: c.AgentType, AgentId: c.AgentID,
	}
	return c.connect(func(conn *grpc.ClientConn) error {
		t := &tail{logs: logsv1.NewLogServiceClient(conn), request: request, progress: to.err}
		if c.Output == "json" {
			t.print = func(rows []*logsv1.RequestLog) error { return printJSONLines(to.out, rows) }
		} else {
			rows := newLogsTable(to)
			t.print = func(more []*logsv1.RequestLog) error { return printLogs(rows, more...) }
		}
		return t.run(ctx)
	})
}

// printJSONLines prints one row a line.
func printJSONLines(to io.Writer, rows []*logsv1.RequestLog) error {
	var lines []byte
	for _, row := range rows {
		text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(row)
		if err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		lines = append(append(lines, text...), '\n')
	}
	_, err := to.Write(lines)
	return err
}

// tail is a live stream that may take several calls.
type tail struct {
	logs     logsv1.LogServiceClient
	request  *logsv1.TailRequestLogsRequest
	print    func([]*logsv1.RequestLog) error
	progress io.Writer
	// messages is how many have come.
	messages int64
}

// run prints rows until ctx is done. It resumes after a break; a stream that has not begun is not tried again, because its flags
// may be wrong.
func (t *tail) run(ctx context.Context) error {
	pause := firstPause
	for {
		before := t.messages
		err := t.part(ctx)
		progressed := t.messages > before
		if progressed {
			pause = firstPause
		}
		switch exhausted := status.Code(err) == codes.ResourceExhausted; {
		case ctx.Err() != nil:
			return nil
		case t.messages == 0 || !exhausted && !resumable(err, progressed):
			return err
		}
		fmt.Fprintf(t.progress, "Interrupted (%s); resuming.\n", status.Convert(err).Message())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, maxPause)
	}
}

// part makes one call, and prints what it returns.
func (t *tail) part(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := t.logs.TailRequestLogs(ctx, t.request)
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return errCutOff
		case err != nil:
			return err
		}
		if t.messages == 0 {
			fmt.Fprintf(t.progress, "Waiting for request logs of %s.\n", t.request.GetWorkspaceId())
		}
		if gap := m.GetGap(); gap != nil {
			fmt.Fprintf(t.progress, "Resumed. Rows since %s are printed again; "+
				"what was stored of older rows meanwhile may be missing.\n", formatTime(gap.GetStartTime()))
		}
		if err := t.print(m.GetRequestLogs()); err != nil {
			return err
		}
		t.messages, t.request.ResumeToken = t.messages+1, m.GetResumeToken()
	}
}
