package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

type checkCommand struct {
	authFlags  `embed:""`
	outputFlag `embed:""`
	APIKey     string  `name:"api-key" help:"The secret that the caller sent; better given as KEYTRAIL_API_KEY, where other users of the machine cannot see it."`
	AgentType  string  `env:"-" default:"agent" help:"The type of the agent called."`
	AgentID    string  `env:"-" name:"agent" help:"The agent called, by id."`
	Method     string  `env:"-" default:"GET" help:"The HTTP method of the call."`
	Endpoint   string  `env:"-" default:"/" help:"The path of the call."`
	Workspace  string  `short:"w" help:"The workspace that owns the called agent."`
	Status     int32   `env:"-" help:"Report at once that the call ended with this HTTP status."`
	LatencyMs  float64 `env:"-" name:"latency-ms" help:"The latency to report with --status, in ms."`
}

// Run checks one call. A denial is the exit code 3.
func (c *checkCommand) Run(ctx context.Context, to console) error {
	var denied bool
	err := c.withChecks(ctx, func(ctx context.Context, checks authv1.CheckServiceClient) error {
		answer, err := checks.Check(ctx, &authv1.CheckRequest{
			ApiKey: c.APIKey, AgentType: c.AgentType, AgentId: c.AgentID, Method: c.Method, Endpoint: c.Endpoint,
			WorkspaceId: c.Workspace, CallId: uuid7.New(time.Now()).String(),
		})
		if err != nil {
			return err
		}
		denied = !answer.GetAllowed()
		return errors.Join(c.report(ctx, checks, answer), c.print(to, answer))
	})
	if err == nil && denied {
		return exitError{code: exitDenied}
	}
	return err
}

// report completes the row of the call, where that is asked for.
func (c *checkCommand) report(ctx context.Context, checks authv1.CheckServiceClient, answer *authv1.CheckResponse) error {
	if c.Status == 0 {
		return nil
	}
	if answer.GetReportToken() == "" {
		return errors.New("the call shares its row with others and cannot be reported")
	}
	response, err := checks.Report(ctx, &authv1.ReportRequest{Outcomes: []*authv1.Outcome{
		{ReportToken: answer.GetReportToken(), Status: c.Status, LatencyMs: &c.LatencyMs},
	}})
	for _, refused := range response.GetRefused() {
		return fmt.Errorf("the report was refused: %s", refused.GetReason())
	}
	return err
}

func (c *checkCommand) print(to console, answer *authv1.CheckResponse) error {
	if c.json() {
		return printJSON(to.out, answer)
	}
	if answer.GetAllowed() {
		_, err := fmt.Fprintf(to.out, "allowed  %s\n", answer.GetRequestLogId())
		return err
	}
	d := answer.GetDenial()
	_, err := fmt.Fprintf(to.out, "denied   %s  %d %s\n%s\n%s\n", answer.GetRequestLogId(), answer.GetHttpStatus(), codeAndCause(d.GetCode(), d.GetCause()), d.GetMessage(), d.GetFix())
	return err
}

// codeAndCause writes why a call was denied, e.g. "expired (secret_rotated)".
func codeAndCause(code, cause string) string {
	if cause == "" {
		return code
	}
	return code + " (" + cause + ")"
}
