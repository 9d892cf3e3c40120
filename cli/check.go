package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

type checkCommand struct {
	authFlags  `embed:""`
	outputFlag `embed:""`
	APIKey     string  `name:"api-key" help:"Secret that the caller sent. Prefer KEYTRAIL_API_KEY, which other users of the machine cannot see."`
	AgentType  string  `env:"-" default:"agent" help:"Type of the called agent."`
	AgentID    string  `env:"-" name:"agent" help:"ID of the called agent."`
	Method     string  `env:"-" default:"GET" help:"HTTP method of the call."`
	Endpoint   string  `env:"-" default:"/" help:"Path of the call."`
	Workspace  string  `short:"w" help:"Workspace that owns the called agent."`
	Status     int32   `env:"-" help:"Also report the call, with this HTTP status."`
	LatencyMs  float64 `env:"-" name:"latency-ms" help:"Latency to report with --status, in milliseconds."`
}

// Run checks one call. The exit code of a denial is 3.
func (c *checkCommand) Run(ctx context.Context, to console) error {
	var denied bool
	err := c.connect(func(conn *grpc.ClientConn) error {
		checks := authv1.NewCheckServiceClient(conn)
		response, err := checks.Check(ctx, &authv1.CheckRequest{
			ApiKey: c.APIKey, AgentType: c.AgentType, AgentId: c.AgentID, Method: c.Method, Endpoint: c.Endpoint,
			WorkspaceId: c.Workspace, CallId: uuid7.New(time.Now()).String(),
		})
		if err != nil {
			return err
		}
		denied = !response.GetAllowed()
		return errors.Join(c.report(ctx, checks, response), c.printResponse(to, response))
	})
	if err == nil && denied {
		return exitError{code: exitDenied}
	}
	return err
}

// report reports the outcome of the call if --status is given.
func (c *checkCommand) report(ctx context.Context, checks authv1.CheckServiceClient, check *authv1.CheckResponse) error {
	if c.Status == 0 {
		return nil
	}
	if check.GetReportToken() == "" {
		return errors.New("the call shares its row with others and cannot be reported")
	}
	response, err := checks.Report(ctx, &authv1.ReportRequest{Outcomes: []*authv1.Outcome{
		{ReportToken: check.GetReportToken(), Status: c.Status, LatencyMs: &c.LatencyMs},
	}})
	for _, refused := range response.GetRefused() {
		return fmt.Errorf("the report was refused: %s", refused.GetReason())
	}
	return err
}

func (c *checkCommand) printResponse(to console, check *authv1.CheckResponse) error {
	return c.print(to, check, func() error {
		if check.GetAllowed() {
			_, err := fmt.Fprintf(to.out, "allowed  %s\n", check.GetRequestLogId())
			return err
		}
		d := check.GetDenial()
		_, err := fmt.Fprintf(to.out, "denied   %s  %d %s\n%s\n%s\n", check.GetRequestLogId(), check.GetHttpStatus(),
			codeAndCause(d.GetCode(), d.GetCause()), d.GetMessage(), d.GetFix())
		return err
	})
}

// codeAndCause formats the reason of a denial, e.g. "expired (secret_rotated)".
func codeAndCause(code, cause string) string {
	if cause == "" {
		return code
	}
	return code + " (" + cause + ")"
}
