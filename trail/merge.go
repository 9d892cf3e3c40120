package trail

import logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"

// mergeRecords merges two records of one id and workspace, as the log service does: the rule is in the contract, at
// RecordRequestLogs. It returns one of the two, changed. Fields that this release does not know go with the description
// of the call.
func mergeRecords(first, second *logsv1.RequestLogRecord) *logsv1.RequestLogRecord {
	outcome := first.GetRequestLog()
	if rank(second.GetRequestLog()) > rank(outcome) {
		outcome = second.GetRequestLog()
	}
	calls := max(first.GetRequestLog().GetCallCount(), second.GetRequestLog().GetCallCount())
	merged := first
	if first.GetFromReport() && !second.GetFromReport() {
		merged = second
	}
	row := merged.GetRequestLog()
	row.Status, row.ErrorCode, row.Cause, row.LatencyMs = outcome.GetStatus(), outcome.GetErrorCode(), outcome.GetCause(), outcome.LatencyMs
	row.CallCount = calls
	return merged
}

// rank says how final the outcome of a call is: in progress, denied by the check, reported.
func rank(row *logsv1.RequestLog) int {
	switch {
	case row.GetStatus() == 0:
		return 0
	case row.LatencyMs == nil:
		return 1
	}
	return 2
}
