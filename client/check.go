package client

import (
	"cmp"
	"context"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/authresult"
)

// verdict is what happens to a call.
type verdict struct {
	// refusal is why the call is not served; nil = it is.
	refusal *refusal
	// identity is that of an allowed call.
	identity *Identity
	// token reports the call; empty if it has no row of its own.
	token string
}

type refusal struct {
	authresult.Refusal
	// cause is the cause of a denial.
	cause string
}

// context returns the context in which a call is served.
func (v verdict) context(ctx context.Context) context.Context {
	if v.identity == nil {
		return ctx
	}
	return context.WithValue(ctx, identityKey{}, v.identity)
}

// decide checks a call that arrived at a time. The request has everything but the called agent.
func (c *Client) decide(ctx context.Context, called Agent, request *authv1.CheckRequest, arrived time.Time) verdict {
	if called.Type == "" || called.size() > maxAgent {
		c.counters.unknownPath.Add(1)
		return verdict{refusal: &refusal{Refusal: authresult.UnknownPath}}
	}
	request.AgentType, request.AgentId = called.Type, called.ID
	request.WorkspaceId = cmp.Or(called.WorkspaceID, c.workspaceID)
	response, err := c.check(ctx, request, arrived)
	switch {
	case err != nil:
		return c.unchecked(err, called)
	case response.GetAllowed():
		c.counters.allowed.Add(1)
		return verdict{identity: identityOf(response), token: response.GetReportToken()}
	}
	c.counters.denied.Add(1)
	denied := &refusal{Refusal: authresult.Denied(response), cause: response.GetDenial().GetCause()}
	return verdict{refusal: denied, token: response.GetReportToken()}
}

// unchecked decides on a call whose check has failed.
func (c *Client) unchecked(err error, called Agent) verdict {
	if c.causes(called, err) {
		c.counters.unknownPath.Add(1)
		c.warnings.warn("keytrail: a call has an unknown agent type, or a workspace that is invalid or that the token does not "+
			"hold for, and was refused", "error", err)
		return verdict{refusal: &refusal{Refusal: authresult.UnknownPath}}
	}
	// A caller must not be able to get past the check by a request that makes it fail.
	if c.failOpen && isUnreachable(err) {
		c.counters.unchecked.Add(1)
		c.warnings.warn("keytrail: a call could not be checked, and is served unchecked", "error", err)
		return verdict{}
	}
	c.counters.refused.Add(1)
	c.warnings.warn("keytrail: a call could not be checked, and was refused", "error", err)
	return verdict{refusal: &refusal{Refusal: authresult.Unavailable}}
}

// causes reports whether an error of a check is about the called agent: an unknown type, or a workspace that is invalid or that
// the token does not hold for. If it does not hold for the workspace of WithWorkspace, the token is wrong, and not the call.
func (c *Client) causes(called Agent, err error) bool {
	info := errorInfo(err)
	if info.GetReason() == "WORKSPACE_FORBIDDEN" {
		return called.WorkspaceID != "" && called.WorkspaceID != c.workspaceID
	}
	field := info.GetMetadata()["field"]
	return status.Code(err) == codes.InvalidArgument && (field == "agent_type" || field == "workspace_id")
}

// maxAttempts is how often a check is sent at most, apart from what gRPC retries by itself.
const maxAttempts = 3

// check sends the check of a call until there is a response or the time is over. It goes on when the caller goes away, because
// the row of the call is then completed, too.
//
// It repeats what gRPC does not retry: a check whose connection was cut after the response had begun, and one that a replica did
// not respond to in time. A replica that is paused keeps its connection; the next attempt goes to another one.
func (c *Client) check(ctx context.Context, request *authv1.CheckRequest, arrived time.Time,
) (response *authv1.CheckResponse, err error) {
	request.CallId = c.callID(arrived)
	ctx = context.WithoutCancel(ctx)
	for range maxAttempts {
		response, err = c.attempt(ctx, request)
		if at, ok := serverTime(err); ok {
			c.setClock(at)
			request.CallId = c.callID(arrived)
		} else if !isUnreachable(err) {
			break
		}
	}
	return response, err
}

func isUnreachable(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}

// attempt sends a check, which gRPC retries on other replicas if it fails with UNAVAILABLE before a response begins.
func (c *Client) attempt(ctx context.Context, request *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.checkTimeout/maxAttempts)
	defer cancel()
	return c.checks.Check(ctx, request)
}

// callID returns a new id for a call, by the clock of the auth service: it refuses ids that are more than a minute off.
func (c *Client) callID(arrived time.Time) string {
	return c.ids.New(arrived.Add(time.Duration(c.ahead.Load()))).String()
}

// setClock sets the clock of call ids to that of the auth service.
func (c *Client) setClock(server time.Time) {
	ahead := time.Until(server)
	c.ahead.Store(int64(ahead))
	c.warnings.warn("keytrail: the clocks of this machine and of the auth service disagree; calls are recorded at its time",
		"service_ahead", ahead.Round(time.Second))
}

// serverTime returns the time of the auth service if it refused a call_id for its time.
func serverTime(err error) (time.Time, bool) {
	info := errorInfo(err)
	if info.GetReason() != "CALL_ID_CLOCK" {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339, info.GetMetadata()["server_time"])
	return at, err == nil
}

// errorInfo returns the details of an error of the auth service; nil without details.
func errorInfo(err error) *errdetails.ErrorInfo {
	if err == nil {
		return nil
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}
