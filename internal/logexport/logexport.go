// Package logexport writes request logs as a file, for REST and for the CLI. docs/export.md has the two formats.
package logexport

import (
	"bytes"
	"fmt"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	logsv1 "github.com/keytrail/keytrail/gen/keytrail/logs/v1"
)

// The names of the formats, as in the contract.
const (
	NDJSON = "ndjson"
	CSV    = "csv"
)

// Writer writes one file. It appends to buffers, so that its caller decides when what is written.
type Writer interface {
	// ContentType returns the media type of the file.
	ContentType() string
	// Part appends the rows of a message, and the times that cannot be read.
	Part(*bytes.Buffer, *logsv1.ExportRequestLogsResponse)
	// End appends the last line of a file that is whole.
	End(to *bytes.Buffer, rows int64)
	// Fail appends the end of a file that is not: the error, and where to go on.
	Fail(to *bytes.Buffer, err *spb.Status, resumeToken string)
}

// NewWriter returns a writer of a format. Every format but CSV is NDJSON.
func NewWriter(format string) Writer {
	if format == CSV {
		return &csvFile{}
	}
	return ndjsonFile{}
}

// FileName returns the name of a file with the rows of a workspace, that was begun at a time.
func FileName(workspaceID string, begun time.Time, format string) string {
	if format != CSV {
		format = NDJSON
	}
	return fmt.Sprintf("request-logs-%s-%s.%s", workspaceID, begun.UTC().Format("20060102T150405Z"), format)
}

// jsonOptions are those of REST.
var jsonOptions = protojson.MarshalOptions{EmitDefaultValues: true}

// AppendJSON appends a message as REST has it, without a line break. It cannot fail: the strings are valid UTF-8.
func AppendJSON(to *bytes.Buffer, message proto.Message) {
	text, _ := jsonOptions.MarshalAppend(to.AvailableBuffer(), message)
	to.Write(text)
}
