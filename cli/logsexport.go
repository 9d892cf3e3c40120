package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/durable"
	"github.com/keytrail/keytrail/internal/logexport"
)

type logsExport struct {
	logsFlags     `embed:""`
	workspaceFlag `embed:""`
	filterFlags   `embed:""`
	timeFlags     `embed:""`
	Format        string `env:"-" enum:"ndjson,csv" default:"ndjson" help:"ndjson or csv."`
	Out           string `env:"-" type:"path" placeholder:"FILE" help:"File to write. Until the export is complete it is FILE.partial. By default the rows go to the standard output."`
}

// Run exports all rows. It resumes after a break; if it fails all the same, what it has written says so at its end.
func (c *logsExport) Run(ctx context.Context, to console) error {
	start, end, err := c.bounds(time.Now())
	if err != nil {
		return err
	}
	request := &logsv1.ExportRequestLogsRequest{
		WorkspaceId: c.Workspace, StatusClass: c.StatusClass, KeyId: c.KeyID, Method: c.Method, Endpoint: c.Endpoint,
		ErrorCode: c.ErrorCode, AgentType: c.AgentType, AgentId: c.AgentID, StartTime: start, EndTime: end,
	}
	return c.connect(func(conn *grpc.ClientConn) error {
		e := &export{
			logs: logsv1.NewLogServiceClient(conn), request: request, writer: logexport.NewWriter(c.Format), to: to.out,
			progress: &progress{to: to.err, live: isTerminal(to.err) && (c.Out != "" || !isTerminal(to.out))},
		}
		if c.Out == "" {
			return e.run(ctx)
		}
		return writeFile(c.Out, func(file io.Writer) error { e.to = file; return e.run(ctx) })
	})
}

// writeFile writes a file that has its name once it is complete, and replaces an older one. What an error leaves is kept as
// PATH.partial, unless it is empty. Only the user can read the rows.
func writeFile(path string, write func(io.Writer) error) error {
	partial := path + ".partial"
	file, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		if info, statErr := file.Stat(); statErr == nil && info.Size() == 0 {
			err = errors.Join(err, os.Remove(partial))
		}
		return errors.Join(err, file.Close())
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}
