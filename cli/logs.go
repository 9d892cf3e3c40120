package cli

import (
	"context"
	"fmt"
	"time"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

type logsCommand struct {
	List  logsList  `cmd:"" help:"List request logs, newest first."`
	Get   logsGet   `cmd:"" help:"Show one request log."`
	Purge logsPurge `cmd:"" help:"Delete all request logs of a workspace, for good."`
}

// logsOf is what every command on request logs takes.
type logsOf struct {
	logsFlags     `embed:""`
	workspaceFlag `embed:""`
	outputFlag    `embed:""`
}

type logsList struct {
	logsOf      `embed:""`
	StatusClass string `env:"-" enum:",2xx,4xx,5xx" default:"" help:"Only 2xx, 4xx or 5xx."`
	KeyID       string `env:"-" name:"key" help:"Only calls with this key, by id."`
	Endpoint    string `env:"-" help:"Only endpoints that hold this text, in either case."`
	ErrorCode   string `env:"-" help:"Only calls that were denied with this code, e.g. invalid_token."`
	Since       string `env:"-" help:"Only calls since this time (RFC 3339), or since so long ago (e.g. 90m)."`
	Until       string `env:"-" help:"Only calls before this time, or before so long ago."`
	Limit       int    `env:"-" default:"50" help:"The most rows to list; 0 = all."`
}

// Run walks pages until the limit is full or nothing is left to search.
func (c *logsList) Run(ctx context.Context, to console) error {
	request, err := c.request(time.Now())
	if err != nil {
		return err
	}
	return c.withLogs(ctx, func(ctx context.Context, logs logsv1.LogServiceClient) error {
		found, err := c.walk(ctx, logs, request)
		if err != nil {
			return err
		}
		if c.json() {
			return printJSON(to.out, found)
		}
		if found.GetNextPageToken() != "" {
			defer fmt.Fprintf(to.err, "There may be more; --limit 0 lists all.\n")
		}
		return printLogs(to, found.GetRequestLogs()...)
	})
}

func (c *logsList) request(now time.Time) (*logsv1.ListRequestLogsRequest, error) {
	start, err := parseWhen("--since", c.Since, now)
	if err != nil {
		return nil, err
	}
	end, err := parseWhen("--until", c.Until, now)
	if err != nil {
		return nil, err
	}
	if c.Limit < 0 {
		return nil, fmt.Errorf("--limit: must be 0 (all) or more, got %d", c.Limit)
	}
	return &logsv1.ListRequestLogsRequest{
		WorkspaceId: c.Workspace, StatusClass: c.StatusClass, KeyId: c.KeyID, Endpoint: c.Endpoint,
		ErrorCode: c.ErrorCode, StartTime: start, EndTime: end,
	}, nil
}

// walk gathers the pages as one answer, with the token, the search and the retention of the last.
func (c *logsList) walk(ctx context.Context, logs logsv1.LogServiceClient, request *logsv1.ListRequestLogsRequest) (*logsv1.ListRequestLogsResponse, error) {
	all := &logsv1.ListRequestLogsResponse{}
	for {
		request.PageSize = 1000
		if left := c.Limit - len(all.GetRequestLogs()); c.Limit > 0 {
			request.PageSize = int32(min(left, 1000))
		}
		page, err := logs.ListRequestLogs(ctx, request)
		if err != nil {
			return nil, err
		}
		all.RequestLogs = append(all.RequestLogs, page.GetRequestLogs()...)
		all.UnreadableRanges = append(all.UnreadableRanges, page.GetUnreadableRanges()...)
		all.NextPageToken, all.SearchedTo, all.Retention = page.GetNextPageToken(), page.GetSearchedTo(), page.GetRetention()
		request.PageToken = page.GetNextPageToken()
		if request.PageToken == "" || c.Limit > 0 && len(all.GetRequestLogs()) >= c.Limit {
			return all, nil
		}
	}
}

type logsGet struct {
	logsOf `embed:""`
	ID     string `arg:"" help:"The id of the request log."`
}

// Run shows one row.
func (c *logsGet) Run(ctx context.Context, to console) error {
	return c.withLogs(ctx, func(ctx context.Context, logs logsv1.LogServiceClient) error {
		answer, err := logs.GetRequestLog(ctx, &logsv1.GetRequestLogRequest{WorkspaceId: c.Workspace, RequestLogId: c.ID})
		if err != nil {
			return err
		}
		if c.json() {
			return printJSON(to.out, answer)
		}
		return printLogs(to, answer.GetRequestLog())
	})
}

type logsPurge struct {
	logsOf `embed:""`
	Yes    bool `env:"-" required:"" help:"Say that you mean it: there is no way back."`
}

// Run deletes the workspace's rows.
func (c *logsPurge) Run(ctx context.Context, to console) error {
	return c.withLogs(ctx, func(ctx context.Context, logs logsv1.LogServiceClient) error {
		answer, err := c.purge(ctx, logs, to)
		if err != nil {
			return err
		}
		if c.json() {
			return printJSON(to.out, answer)
		}
		_, err = fmt.Fprintf(to.out, "Deleted %d request logs of workspace %s.\n", answer.GetPurgedCount(), c.Workspace)
		return err
	})
}

// purge calls until everything is deleted, and returns the answers as one. It prints after each call how far it is.
func (c *logsPurge) purge(ctx context.Context, logs logsv1.LogServiceClient, to console) (*logsv1.PurgeRequestLogsResponse, error) {
	all := &logsv1.PurgeRequestLogsResponse{}
	for {
		answer, err := logs.PurgeRequestLogs(ctx, &logsv1.PurgeRequestLogsRequest{WorkspaceId: c.Workspace})
		if err != nil {
			return nil, err
		}
		all.PurgedCount += answer.GetPurgedCount()
		if all.Complete = answer.GetComplete(); all.Complete {
			return all, nil
		}
		fmt.Fprintf(to.err, "%d request logs are deleted so far.\n", all.GetPurgedCount())
	}
}

func printLogs(to console, rows ...*logsv1.RequestLog) error {
	t := newTable(to.out, "TIME", "KEY", "METHOD", "ENDPOINT", "STATUS", "LATENCY", "ID")
	for _, r := range rows {
		t.row(instant(r.GetTime()), keySnapshot(r), orDash(r.GetMethod()), orDash(r.GetEndpoint()), outcome(r), latency(r), r.GetId())
	}
	return t.flush()
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
	return fmt.Sprintf("%d %s%s", r.GetStatus(), codeAndCause(r.GetErrorCode(), r.GetCause()), times(r))
}

// times says of how many calls a row is, where it is of several.
func times(r *logsv1.RequestLog) string {
	if r.GetCallCount() <= 1 {
		return ""
	}
	return fmt.Sprintf(" ×%d", r.GetCallCount())
}

func latency(r *logsv1.RequestLog) string {
	if r.LatencyMs == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f ms", r.GetLatencyMs())
}
