package gateway

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
	"github.com/keytrail/keytrail/internal/logexport"
)

// exportRoute is the route of exports.
func exportRoute(logs logsv1.LogServiceClient) streamRoute[logsv1.ExportRequestLogsRequest, logsv1.ExportRequestLogsResponse] {
	return streamRoute[logsv1.ExportRequestLogsRequest, logsv1.ExportRequestLogsResponse]{
		rpc:  logsv1.LogService_ExportRequestLogs_FullMethodName,
		path: "/v1/workspaces/{workspace_id}/request-logs:export",
		open: logs.ExportRequestLogs,
		form: func(_ *http.Request, request *logsv1.ExportRequestLogsRequest) streamForm[logsv1.ExportRequestLogsResponse] {
			return &exportForm{
				writer: logexport.NewWriter(request.GetFormat()),
				name:   logexport.FileName(request.GetWorkspaceId(), time.Now(), request.GetFormat()),
			}
		},
		file: true,
	}
}

// exportForm writes an export as a file.
type exportForm struct {
	writer logexport.Writer
	name   string
	// resumeToken is that of the last message.
	resumeToken string
}

func (f *exportForm) header(h http.Header) {
	h.Set("Content-Type", f.writer.ContentType())
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s"`, f.name)) // workspaces have no character to escape
}

func (f *exportForm) message(to *bytes.Buffer, part *logsv1.ExportRequestLogsResponse) {
	f.writer.Part(to, part)
	f.resumeToken = part.GetResumeToken()
	if part.GetComplete() {
		f.writer.End(to, part.GetRowCount())
	}
}

func (f *exportForm) fail(to *bytes.Buffer, st *status.Status) {
	f.writer.Fail(to, st.Proto(), f.resumeToken)
}
