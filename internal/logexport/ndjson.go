package logexport

import (
	"bytes"
	"fmt"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// ndjsonFile writes newline-delimited JSON.
type ndjsonFile struct{}

func (ndjsonFile) ContentType() string { return "application/x-ndjson" }

func (ndjsonFile) Part(to *bytes.Buffer, part *logsv1.ExportRequestLogsResponse) {
	for _, row := range part.GetRequestLogs() {
		AppendJSON(to, row)
		to.WriteByte('\n')
	}
	for _, r := range part.GetUnreadableRanges() {
		to.WriteString(`{"unreadable_range":`)
		AppendJSON(to, r)
		to.WriteString("}\n")
	}
}

func (ndjsonFile) End(to *bytes.Buffer, rows int64) {
	fmt.Fprintf(to, `{"row_count":%d,"complete":true}`+"\n", rows)
}

func (ndjsonFile) Fail(to *bytes.Buffer, err *spb.Status, resumeToken string) {
	to.WriteString(`{"error":`)
	AppendJSON(to, err)
	fmt.Fprintf(to, `,"resume_token":"%s"}`+"\n", resumeToken) // tokens are in base64
}
