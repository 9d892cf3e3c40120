package logexport

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// columns are the fields of a row, in the order of the contract.
var columns = []string{
	"id", "time", "workspace_id", "key_id", "key_name", "key_last4", "external_id", "agent_type", "agent_id", "method", "endpoint",
	"status", "error_code", "cause", "latency_ms", "call_count",
}

// csvFile writes CSV (RFC 4180) with lines that end in LF. What is not a row is in lines that begin with #, as no id does.
type csvFile struct {
	begun bool
	cells []string
}

func (*csvFile) ContentType() string { return "text/csv; charset=utf-8" }

func (f *csvFile) Part(to *bytes.Buffer, part *logsv1.ExportRequestLogsResponse) {
	w := csv.NewWriter(to)
	if !f.begun {
		f.begun = true
		_ = w.Write(columns) // a buffer takes everything
	}
	for _, row := range part.GetRequestLogs() {
		f.cells = appendCells(f.cells[:0], row)
		_ = w.Write(f.cells)
	}
	w.Flush()
	for _, r := range part.GetUnreadableRanges() {
		fmt.Fprintf(to, "# unreadable=%s/%s\n", formatTime(r.GetStartTime()), formatTime(r.GetEndTime()))
	}
}

func (*csvFile) End(to *bytes.Buffer, rows int64) { fmt.Fprintf(to, "# rows=%d\n", rows) }

func (*csvFile) Fail(to *bytes.Buffer, err *spb.Status, resumeToken string) {
	to.WriteString("# error=")
	AppendJSON(to, err)
	fmt.Fprintf(to, "\n# resume_token=%s\n", resumeToken)
}

// appendCells appends the cells of a row, in the order of columns.
func appendCells(cells []string, row *logsv1.RequestLog) []string {
	latency := ""
	if row.LatencyMs != nil {
		latency = strconv.FormatFloat(row.GetLatencyMs(), 'f', -1, 64)
	}
	return append(cells,
		row.GetId(), formatTime(row.GetTime()), row.GetWorkspaceId(), row.GetKeyId(),
		escape(row.GetKeyName()), escape(row.GetKeyLast4()), escape(row.GetExternalId()), row.GetAgentType(),
		escape(row.GetAgentId()), escape(row.GetMethod()), escape(row.GetEndpoint()),
		strconv.Itoa(int(row.GetStatus())), row.GetErrorCode(), row.GetCause(), latency, strconv.Itoa(int(row.GetCallCount())))
}

// formulaStarts are the first characters of cells that spreadsheets run as formulas (OWASP, CSV injection), in both widths.
const formulaStarts = "=+-@\t\r\n＝＋－＠"

// escape puts ' before a cell that a spreadsheet would run, and before one that begins with ' itself, so that removing one '
// from the beginning of every cell gives the text back.
func escape(cell string) string {
	if cell != "" && strings.IndexAny(cell, formulaStarts+"'") == 0 {
		return "'" + cell
	}
	return cell
}

// formatTime returns a time in UTC, in RFC 3339 with milliseconds.
func formatTime(t *timestamppb.Timestamp) string {
	return t.AsTime().Format("2006-01-02T15:04:05.000Z07:00")
}
