package envoy

import (
	"net/http"
	"time"

	dataaccesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/protobuf/types/known/structpb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
)

const (
	// statusGone is the status of a call whose caller was gone before a response was sent, as nginx writes it.
	statusGone = 499
	// The limits of an Outcome.
	maxStatus  = 599
	maxLatency = 24 * time.Hour
)

// outcomesOf returns the outcomes of the calls in a message. The first message of a stream may have an identifier only, and
// entries about TCP connections (tcp_logs) are ignored.
func outcomesOf(message *accesslogv3.StreamAccessLogsMessage) []*authv1.Outcome {
	var outcomes []*authv1.Outcome
	for _, entry := range message.GetHttpLogs().GetLogEntry() {
		if token := tokenOf(entry.GetCommonProperties()); token != "" && final(entry.GetCommonProperties()) {
			outcomes = append(outcomes, &authv1.Outcome{
				ReportToken: token, Status: statusOf(entry), LatencyMs: new(latencyOf(entry.GetCommonProperties())),
			})
		}
	}
	return outcomes
}

// tokenOf returns the report token of an entry, from the dynamic metadata of the check (field metadata of AccessLogCommon); empty for
// a request that was not checked, whose row is shared, or whose check failed:
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/data/accesslog/v3/accesslog.proto#data-accesslog-v3-accesslogcommon
func tokenOf(common *dataaccesslogv3.AccessLogCommon) string {
	return checkOf(common)[tokenField].GetStringValue()
}

func checkOf(common *dataaccesslogv3.AccessLogCommon) map[string]*structpb.Value {
	return common.GetMetadata().GetFilterMetadata()[filterNamespace].GetFields()
}

// final reports whether an entry was written at the end of a request. Envoy can be configured to write others at its start, during it
// and about each attempt to reach the service behind it: their status and duration are not the caller's. The field access_log_type
// exists since Envoy 1.27, intermediate_log_entry since 1.25:
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/data/accesslog/v3/accesslog.proto#enum-data-accesslog-v3-accesslogtype
func final(common *dataaccesslogv3.AccessLogCommon) bool {
	switch common.GetAccessLogType() {
	case dataaccesslogv3.AccessLogType_DownstreamEnd:
		return true
	case dataaccesslogv3.AccessLogType_NotSet:
		//lint:ignore SA1019 releases before 1.27 set it instead
		return !common.GetIntermediateLogEntry()
	}
	return false
}

// statusOf returns the status that the caller got. The field response_code is unset or 0 if the caller was gone before a response was
// sent (response flag DC), or it is that of an interim response, such as 100:
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/data/accesslog/v3/accesslog.proto#data-accesslog-v3-httpresponseproperties
// https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage (RESPONSE_CODE)
//
// A gRPC call that is denied has 200, and the denial in grpc-status: then its status is that of the denial.
func statusOf(entry *dataaccesslogv3.HTTPAccessLogEntry) int32 {
	code := entry.GetResponse().GetResponseCode().GetValue()
	if denied := checkOf(entry.GetCommonProperties())[deniedField].GetNumberValue(); denied != 0 && code == http.StatusOK {
		code = uint32(denied)
	}
	if code < http.StatusOK && code != http.StatusSwitchingProtocols {
		return statusGone
	}
	return int32(min(code, maxStatus))
}

// latencyOf returns the milliseconds from the first byte of the request to the end of the response. Envoy sends nanoseconds:
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/data/accesslog/v3/accesslog.proto#data-accesslog-v3-accesslogcommon
func latencyOf(common *dataaccesslogv3.AccessLogCommon) float64 {
	latency := min(max(common.GetDuration().AsDuration(), 0), maxLatency)
	return float64(latency) / float64(time.Millisecond)
}
