package gateway

import (
	"bytes"
	"net/http"
	"strings"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/logexport"
)

const eventStream = "text/event-stream"

// tailRoute is the route of live streams of request logs.
func tailRoute(logs logsv1.LogServiceClient) streamRoute[logsv1.TailRequestLogsRequest, logsv1.TailRequestLogsResponse] {
	return streamRoute[logsv1.TailRequestLogsRequest, logsv1.TailRequestLogsResponse]{
		rpc:  logsv1.LogService_TailRequestLogs_FullMethodName,
		path: "/v1/workspaces/{workspace_id}/request-logs:tail",
		open: logs.TailRequestLogs,
		form: func(r *http.Request, request *logsv1.TailRequestLogsRequest) streamForm[logsv1.TailRequestLogsResponse] {
			if !strings.Contains(r.Header.Get("Accept"), eventStream) {
				return tailLines{}
			}
			// A client of server-sent events sends the last token when it connects again, to the same URL.
			if last := r.Header.Get("Last-Event-ID"); last != "" {
				request.ResumeToken = strings.ToValidUTF8(last, "\uFFFD")
			}
			return tailEvents{}
		},
	}
}

// tailLines writes newline-delimited JSON.
type tailLines struct{}

func (tailLines) header(h http.Header) { h.Set("Content-Type", "application/x-ndjson") }

func (tailLines) message(to *bytes.Buffer, m *logsv1.TailRequestLogsResponse) { appendLine(to, m) }

func (tailLines) fail(to *bytes.Buffer, st *status.Status) {
	to.WriteString(`{"error":`)
	logexport.AppendJSON(to, st.Proto())
	to.WriteString("}\n")
}

// tailEvents writes server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type tailEvents struct{}

func (tailEvents) header(h http.Header) { h.Set("Content-Type", eventStream) }

func (tailEvents) message(to *bytes.Buffer, m *logsv1.TailRequestLogsResponse) {
	to.WriteString("id: " + m.GetResumeToken() + "\ndata: ")
	appendLine(to, m)
	to.WriteByte('\n')
}

func (tailEvents) fail(to *bytes.Buffer, st *status.Status) {
	to.WriteString("event: error\ndata: ")
	tailLines{}.fail(to, st)
	to.WriteByte('\n')
}

func appendLine(to *bytes.Buffer, m proto.Message) {
	logexport.AppendJSON(to, m)
	to.WriteByte('\n')
}
