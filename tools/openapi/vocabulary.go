package main

import "google.golang.org/protobuf/reflect/protoreflect"

var (
	errorCodes = list{"missing_token", "invalid_token", "disabled", "expired", "scope_denied", "agent_denied"}
	causes     = list{"secret_rotated", "other_workspace", "no_agent"}
	agentTypes = list{"agent", "data_agent", "voice_agent"}
)

// vocabularies are words that the fields have today. Later releases may know more, so that they are examples and no
// enumeration.
var vocabularies = map[protoreflect.FullName]list{
	"keytrail.auth.v1.AgentType.agent_type":              agentTypes,
	"keytrail.auth.v1.CheckRequest.agent_type":           agentTypes,
	"keytrail.auth.v1.Denial.code":                       errorCodes,
	"keytrail.auth.v1.Denial.cause":                      causes,
	"keytrail.auth.v1.ErrorCause.cause":                  causes,
	"keytrail.auth.v1.ErrorCode.code":                    errorCodes,
	"keytrail.auth.v1.Key.scopes":                        agentTypes,
	"keytrail.auth.v1.RefusedOutcome.reason":             {"invalid", "expired", "foreign_workspace"},
	"keytrail.logs.v1.ListRequestLogsRequest.agent_type": agentTypes,
	"keytrail.logs.v1.ListRequestLogsRequest.error_code": errorCodes,
	"keytrail.logs.v1.RequestLog.agent_type":             agentTypes,
	"keytrail.logs.v1.RequestLog.cause":                  causes,
	"keytrail.logs.v1.RequestLog.error_code":             errorCodes,
}
