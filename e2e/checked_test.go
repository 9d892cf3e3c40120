package e2e

import (
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/uuid7"
)

// checked is a call that was checked.
type checked struct {
	// row is the expected row before a report.
	row *logsv1.RequestLog
	// token is the report token.
	token string
}

// checkedOf returns the checked call of a request, its workspace and its response.
func checkedOf(request *authv1.CheckRequest, workspace string, answer *authv1.CheckResponse) checked {
	path, _, _ := strings.Cut(request.GetEndpoint(), "?")
	row := &logsv1.RequestLog{
		Id: answer.GetRequestLogId(), Time: timestamppb.New(uuid7.Time(uuid.MustParse(answer.GetRequestLogId()))), WorkspaceId: workspace,
		KeyId: answer.GetKeyId(), KeyName: answer.GetKeyName(), KeyLast4: answer.GetKeyLast4(), ExternalId: answer.GetExternalId(),
		AgentType: request.GetAgentType(), AgentId: request.GetAgentId(), Method: request.GetMethod(), Endpoint: path[:min(len(path), 2048)],
		ErrorCode: answer.GetDenial().GetCode(), Cause: answer.GetDenial().GetCause(), CallCount: 1,
	}
	if !answer.GetAllowed() {
		row.Status = answer.GetHttpStatus()
	}
	return checked{row: row, token: answer.GetReportToken()}
}

// outcome returns a report of the call.
func (c checked) outcome(status int32, latencyMs float64) *authv1.Outcome {
	return &authv1.Outcome{ReportToken: c.token, Status: status, LatencyMs: new(latencyMs)}
}
