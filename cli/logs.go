package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

type logsCommand struct {
	List   logsList   `cmd:"" help:"List request logs, newest first."`
	Get    logsGet    `cmd:"" help:"Show a request log."`
	Tail   logsTail   `cmd:"" help:"Print request logs as they are stored, until it is interrupted. A row that changes is printed again."`
	Export logsExport `cmd:"" help:"Write all matching request logs to a file, newest first, as NDJSON or CSV."`
	Purge  logsPurge  `cmd:"" help:"Delete all request logs of a workspace permanently."`
	Verify logsVerify `cmd:"" help:"Read every sealed block of request logs, and name those that are damaged."`
	Expire logsExpire `cmd:"" help:"Delete the request logs that are older than the retention, if they are too many days to be deleted without a confirmation."`

	ResetClock logsResetClock `cmd:"" help:"Set the time of the request logs of keytrail serve, after the clock of this machine was wrong and too far ahead."`
}

// requestLogFlags are the flags of every command on request logs.
type requestLogFlags struct {
	logsFlags     `embed:""`
	workspaceFlag `embed:""`
	outputFlag    `embed:""`
}

// filterFlags select request logs.
type filterFlags struct {
	StatusClass string `env:"-" enum:",2xx,4xx,5xx,in_progress" default:"" help:"Only calls with a status of this class: 2xx, 4xx, 5xx or in_progress."`
	KeyID       string `env:"-" name:"key" help:"Only calls with the key of this ID."`
	Method      string `env:"-" help:"Only calls with this method, e.g. POST."`
	Endpoint    string `env:"-" help:"Only endpoints that contain this text, ignoring case."`
	ErrorCode   string `env:"-" help:"Only calls that were denied with this code, e.g. invalid_token."`
	AgentType   string `env:"-" help:"Only calls of agents of this type, e.g. data_agent."`
	AgentID     string `env:"-" help:"Only calls of the agent of this ID."`
}

// timeFlags select request logs by their times.
type timeFlags struct {
	Since string `env:"-" help:"Only calls since this time: RFC 3339, or a duration before now, e.g. 90m."`
	Until string `env:"-" help:"Only calls before this time, in the same formats."`
}

// bounds returns the times; nil = without a bound.
func (f timeFlags) bounds(now time.Time) (start, end *timestamppb.Timestamp, err error) {
	if start, err = parseTime("--since", f.Since, now); err != nil {
		return nil, nil, err
	}
	if end, err = parseTime("--until", f.Until, now); err != nil {
		return nil, nil, err
	}
	return start, end, nil
}

type logsList struct {
	requestLogFlags `embed:""`
	filterFlags     `embed:""`
	timeFlags       `embed:""`
	Limit           int `env:"-" default:"50" help:"Maximum number of rows; 0 = all. Rows are printed page by page: if a page fails, the output ends there, and the exit code is not 0."`
}

// Run reads pages until the limit is reached or nothing is left, and prints each page before it reads the next one.
func (c *logsList) Run(ctx context.Context, to console) error {
	request, err := c.request(time.Now())
	if err != nil {
		return err
	}
	return c.connect(func(conn *grpc.ClientConn) error {
		return c.list(ctx, logsv1.NewLogServiceClient(conn), request, to)
	})
}

// list prints what request finds.
func (c *logsList) list(
	ctx context.Context, logs logsv1.LogServiceClient, request *logsv1.ListRequestLogsRequest, to console,
) error {
	if c.Output == "json" {
		out := &jsonList{to: to.out}
		rest, err := c.walk(ctx, logs, request, out.page)
		if err != nil {
			return err
		}
		return out.end(rest)
	}
	t := newLogsTable(to)
	rest, err := c.walk(ctx, logs, request, func(rows []*logsv1.RequestLog) error { return printLogs(t, rows...) })
	if err != nil {
		return err
	}
	printMissing(to, rest)
	return nil
}

// printMissing says what may be missing from a list.
func printMissing(to console, found *logsv1.ListRequestLogsResponse) {
	for _, r := range found.GetUnreadableRanges() {
		fmt.Fprintf(to.err, damagedRange+"\n", formatTime(r.GetStartTime()), formatTime(r.GetEndTime()))
	}
	if found.GetNextPageToken() != "" {
		fmt.Fprintln(to.err, "There may be more; --limit 0 lists all.")
	}
}

func (c *logsList) request(now time.Time) (*logsv1.ListRequestLogsRequest, error) {
	start, end, err := c.bounds(now)
	if err != nil {
		return nil, err
	}
	if c.Limit < 0 {
		return nil, fmt.Errorf("--limit: must be 0 (all) or more, got %d", c.Limit)
	}
	return &logsv1.ListRequestLogsRequest{
		WorkspaceId: c.Workspace, StatusClass: c.StatusClass, KeyId: c.KeyID, Method: c.Method, Endpoint: c.Endpoint,
		ErrorCode: c.ErrorCode, AgentType: c.AgentType, AgentId: c.AgentID, StartTime: start, EndTime: end,
	}, nil
}

// walk passes the rows of each page to print. It returns the rest of one response with all of them: the token, the search
// position and the retention of the last page.
func (c *logsList) walk(
	ctx context.Context, logs logsv1.LogServiceClient, request *logsv1.ListRequestLogsRequest, print func([]*logsv1.RequestLog) error,
) (rest *logsv1.ListRequestLogsResponse, err error) {
	rest = &logsv1.ListRequestLogsResponse{}
	for found := 0; ; {
		request.PageSize = 1000
		if c.Limit > 0 {
			request.PageSize = int32(min(c.Limit-found, 1000))
		}
		page, err := logs.ListRequestLogs(ctx, request)
		if err != nil {
			return nil, err
		}
		if err := print(page.GetRequestLogs()); err != nil {
			return nil, err
		}
		found += len(page.GetRequestLogs())
		rest.UnreadableRanges = append(rest.UnreadableRanges, page.GetUnreadableRanges()...)
		rest.NextPageToken, rest.SearchedTo, rest.Retention = page.GetNextPageToken(), page.GetSearchedTo(), page.GetRetention()
		request.PageToken = page.GetNextPageToken()
		if request.PageToken == "" || c.Limit > 0 && found >= c.Limit {
			return rest, nil
		}
	}
}

type logsGet struct {
	requestLogFlags `embed:""`
	ID              string `arg:"" help:"ID of the request log."`
}

func (c *logsGet) Run(ctx context.Context, to console) error {
	return c.connect(func(conn *grpc.ClientConn) error {
		response, err := logsv1.NewLogServiceClient(conn).GetRequestLog(ctx, &logsv1.GetRequestLogRequest{WorkspaceId: c.Workspace, RequestLogId: c.ID})
		if err != nil {
			return err
		}
		return c.print(to, response, func() error { return printLogs(newLogsTable(to), response.GetRequestLog()) })
	})
}

type logsPurge struct {
	requestLogFlags `embed:""`
	Yes             bool `env:"-" required:"" help:"Confirm. This cannot be undone."`
}

func (c *logsPurge) Run(ctx context.Context, to console) error {
	return c.connect(func(conn *grpc.ClientConn) error {
		response, err := c.purge(ctx, logsv1.NewLogServiceClient(conn), to)
		if err != nil {
			return err
		}
		return c.print(to, response, func() error {
			_, err := fmt.Fprintf(to.out, "Deleted %d request logs of workspace %s.\n", response.GetPurgedCount(), c.Workspace)
			return err
		})
	})
}

// purge calls until everything is deleted that was there at the first call, and returns the total. It prints the progress after
// each call.
func (c *logsPurge) purge(ctx context.Context, logs logsv1.LogServiceClient, to console) (*logsv1.PurgeRequestLogsResponse, error) {
	all := &logsv1.PurgeRequestLogsResponse{}
	for {
		response, err := logs.PurgeRequestLogs(ctx, &logsv1.PurgeRequestLogsRequest{WorkspaceId: c.Workspace, EndTime: all.GetEndTime()})
		if err != nil {
			return nil, err
		}
		all.PurgedCount, all.EndTime = all.GetPurgedCount()+response.GetPurgedCount(), response.GetEndTime()
		if all.Complete = response.GetComplete(); all.Complete {
			return all, nil
		}
		fmt.Fprintf(to.err, "Deleted %d request logs so far.\n", all.GetPurgedCount())
	}
}

func newLogsTable(to console) *table {
	return newTable(to.out, "TIME", "KEY", "METHOD", "ENDPOINT", "STATUS", "LATENCY", "ID")
}

// printLogs prints rows, and the header before the first ones.
func printLogs(t *table, rows ...*logsv1.RequestLog) error {
	for _, r := range rows {
		t.row(formatTime(r.GetTime()), keySnapshot(r), cmp.Or(r.GetMethod(), "-"), cmp.Or(r.GetEndpoint(), "-"), outcome(r), latency(r), r.GetId())
	}
	return t.Flush()
}

func keySnapshot(r *logsv1.RequestLog) string {
	if r.GetKeyId() == "" {
		return "-"
	}
	return r.GetKeyName() + " …" + r.GetKeyLast4()
}

func outcome(r *logsv1.RequestLog) string {
	switch {
	case r.GetStatus() == 0:
		return "in progress"
	case r.GetErrorCode() == "":
		return fmt.Sprint(r.GetStatus())
	}
	text := fmt.Sprintf("%d %s", r.GetStatus(), codeAndCause(r.GetErrorCode(), r.GetCause()))
	if calls := r.GetCallCount(); calls > 1 { // a shared row
		text += fmt.Sprintf(" ×%d", calls)
	}
	return text
}

func latency(r *logsv1.RequestLog) string {
	if r.LatencyMs == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f ms", r.GetLatencyMs())
}
